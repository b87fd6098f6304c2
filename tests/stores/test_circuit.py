"""After a failure there is one try for each pause, and a success ends it."""

from memrouter.stores.circuit import Circuit
from memrouter.testing.clock import ManualClock


def test_a_closed_circuit_lets_every_call_through() -> None:
    circuit = Circuit(clock=ManualClock(), pause=5)
    assert [circuit.allows() for _ in range(3)] == [True, True, True]
    assert not circuit.succeeded(), "it was closed already"


def test_a_failure_opens_it_and_each_pause_allows_one_try() -> None:
    clock = ManualClock()
    circuit = Circuit(clock=clock, pause=5)
    assert circuit.failed()
    assert not circuit.failed(), "it was open already"
    clock.ms += 4999
    assert not circuit.allows()
    clock.ms += 1
    assert [circuit.allows(), circuit.allows()] == [True, False]
    clock.ms += 5000
    assert circuit.allows(), "a try whose end was never told does not keep it open for good"


def test_a_success_closes_it() -> None:
    clock = ManualClock()
    circuit = Circuit(clock=clock, pause=5)
    circuit.failed()
    clock.ms += 5000
    assert circuit.allows()
    assert circuit.succeeded()
    assert [circuit.allows(), circuit.allows()] == [True, True]

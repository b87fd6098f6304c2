"""Callers counted in memory that processes share: nobody is counted for somebody else."""

from hypothesis import given
from hypothesis import strategies as st

from memrouter.api import caller_times
from memrouter.api.caller_times import SHARED_BYTES, OwnTimes, SharedTimes
from memrouter.api.limits import CallerLimits
from memrouter.config.limits import LimitSettings
from memrouter.errors import RateLimited
from memrouter.observability.metrics import Metrics
from memrouter.testing.clock import ManualClock

PUTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 1e9)), max_size=30)


@given(PUTS)
def test_shared_times_are_as_own_ones(puts: list[tuple[str, float]]) -> None:
    memory = memoryview(bytearray(SHARED_BYTES))
    own, writing, reading = OwnTimes(), SharedTimes(memory), SharedTimes(memory)
    for caller, time in puts:
        own.put(caller, time)
        writing.put(caller, time)
    assert [reading.get(caller) for caller in "abcdefghi"] == [own.get(caller) for caller in "abcdefghi"]
    assert len(reading) == len(own)


@given(st.lists(st.text(max_size=10), unique=True, min_size=20, max_size=40))
def test_where_there_is_no_room_somebody_is_forgotten_but_nobody_confused(callers: list[str]) -> None:
    times = SharedTimes(memoryview(bytearray(16 * 8)))
    for number, caller in enumerate(callers):
        times.put(caller, float(number))
    assert times.get(callers[-1]) == len(callers) - 1
    assert all(times.get(caller) in (None, float(number)) for number, caller in enumerate(callers))
    assert len(times) <= 8


def test_two_processes_that_share_memory_keep_one_limit(clock: ManualClock) -> None:
    memory, settings = memoryview(bytearray(2 * SHARED_BYTES)), LimitSettings(requests_per_minute=60, burst=6)
    processes = [CallerLimits(settings, metrics=Metrics(), clock=clock, shared=memory) for _ in range(2)]
    let_in = 0
    for number in range(20):
        try:
            processes[number % 2].admit("ann")
        except RateLimited:
            continue
        let_in += 1
    assert let_in == 6


def test_requests_and_bytes_are_counted_apart(clock: ManualClock) -> None:
    memory = memoryview(bytearray(2 * SHARED_BYTES))
    settings = LimitSettings(requests_per_minute=60, burst=1, body_bytes_per_minute=10)
    limits = CallerLimits(settings, metrics=Metrics(), clock=clock, shared=memory)
    limits.admit("ann")
    clock.ms += 1_000
    limits.admit("ann")


def test_the_shared_table_holds_as_many_callers_as_one_process() -> None:
    assert SHARED_BYTES // 16 >= caller_times.MAX_CALLERS

"""How often one caller may ask, and how little is kept of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api import caller_times
from memrouter.api.limits import Bucket, CallerLimits, address_of
from memrouter.config.limits import LimitSettings
from memrouter.errors import RateLimited
from memrouter.observability.metrics import Metrics
from memrouter.testing.clock import ManualClock


def limiter(clock: ManualClock, metrics: Metrics | None = None, **settings: float) -> CallerLimits:
    return CallerLimits(LimitSettings.model_validate(settings), metrics=metrics or Metrics(), clock=clock)


def admitted(limits: CallerLimits, caller: str = "ann", *, tries: int = 1) -> int:
    """Return how many of some requests are let in."""
    count = 0
    for _ in range(tries):
        try:
            limits.admit(caller)
        except RateLimited:
            continue
        count += 1
    return count


def test_by_default_there_is_no_limit(clock: ManualClock) -> None:
    assert not limiter(clock).are_set
    assert admitted(limiter(clock), tries=5000) == 5000


def test_a_burst_passes_and_then_the_rate_holds(clock: ManualClock) -> None:
    limits = limiter(clock, requests_per_minute=60, burst=5)
    assert admitted(limits, tries=9) == 5
    clock.ms += 999
    assert admitted(limits, tries=9) == 0
    clock.ms += 1
    assert admitted(limits, tries=9) == 1
    clock.ms += 60_000
    assert admitted(limits, tries=9) == 5


@pytest.mark.parametrize(("rate", "burst"), [(60, 10), (600, 100), (1, 1), (0.5, 1)])
def test_without_a_burst_a_sixth_of_a_minute_s_may_come_at_once(clock: ManualClock, rate: float, burst: int) -> None:
    assert admitted(limiter(clock, requests_per_minute=rate), tries=500) == burst


def test_the_time_to_wait_is_enough_and_not_too_much(clock: ManualClock) -> None:
    limits = limiter(clock, requests_per_minute=7, burst=1)
    limits.admit("ann")
    with pytest.raises(RateLimited) as caught:
        limits.admit("ann")
    assert caught.value.retry_after == 9
    clock.ms += 8_000
    assert admitted(limits) == 0
    clock.ms += 1_000
    assert admitted(limits) == 1


def test_callers_have_limits_of_their_own_and_refusals_are_counted(clock: ManualClock) -> None:
    metrics = Metrics()
    limits = limiter(clock, metrics, requests_per_minute=1)
    assert [admitted(limits, caller, tries=3) for caller in ("ann", "bob")] == [1, 1]
    assert b'memrouter_rate_limited_total{limit="requests"} 4.0' in metrics.render()


def test_bytes_are_paid_off_before_the_next_request(clock: ManualClock) -> None:
    metrics = Metrics()
    limits = limiter(clock, metrics, body_bytes_per_minute=6000)
    limits.charge("ann", 6000)
    assert admitted(limits, tries=3) == 3
    limits.charge("ann", 1000)
    assert (admitted(limits), admitted(limits, "bob")) == (0, 1)
    clock.ms += 10_000
    assert admitted(limits) == 1
    assert b'memrouter_rate_limited_total{limit="bytes"} 1.0' in metrics.render()


def test_a_refused_request_takes_nothing(clock: ManualClock) -> None:
    limits = limiter(clock, requests_per_minute=60, burst=1)
    assert admitted(limits, tries=1000) == 1
    clock.ms += 1_000
    assert admitted(limits) == 1


def test_only_so_many_callers_are_told_apart(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_times, "MAX_CALLERS", 3)
    bucket = Bucket(per_minute=60, burst=1, clock=clock)
    for caller in ("a", "b", "c", "a", "d"):
        bucket.take(caller, 1)
    assert len(bucket) == 3
    assert [bucket.wait(caller, 1) > 0 for caller in "abcd"] == [True, False, True, True]


@given(
    st.floats(min_value=0.1, max_value=1e6),
    st.integers(min_value=1, max_value=1000),
    st.lists(st.integers(min_value=0, max_value=100_000), max_size=60),
)
def test_never_more_than_the_burst_and_what_time_has_earned(rate: float, burst: int, steps: list[int]) -> None:
    clock = ManualClock()
    limits = limiter(clock, requests_per_minute=rate, burst=burst)
    passed = 0
    for step in steps:
        clock.ms += step
        passed += admitted(limits, tries=3)
    assert passed <= burst + sum(steps) / 60_000 * rate + 1e-6


@pytest.mark.parametrize(
    ("client", "same"),
    [
        (("192.0.2.7", 5), ("192.0.2.7", 6)),
        (("::ffff:192.0.2.7", 5), ("192.0.2.7", 6)),
        (("2001:db8:1:2::1", 5), ("2001:db8:1:2:ffff::9", 5)),
        (None, ("testclient", 5)),
    ],
)
def test_an_address_is_one_caller_whatever_its_port(client: tuple[str, int] | None, same: tuple[str, int]) -> None:
    assert address_of(client) == address_of(same)


def test_addresses_are_told_apart_from_each_other_and_from_users() -> None:
    clients = [("192.0.2.7", 1), ("192.0.2.8", 1), ("2001:db8:1:2::1", 1), ("2001:db8:1:3::1", 1), None]
    assert len({address_of(client) for client in clients}) == len(clients)
    assert all(address_of(client).startswith("address:") for client in clients)

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from memrouter.upstream.balance import Balancer


class StillClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


def balancer(*weights: int, clock: StillClock | None = None, seed: int = 7) -> Balancer:
    return Balancer(weights, cooldown=5, clock=clock or StillClock(), rng=random.Random(seed))


@given(weights=st.lists(st.integers(0, 1000), max_size=8), seed=st.integers(0, 99))
def test_every_backend_is_tried_exactly_once(weights: list[int], seed: int) -> None:
    assert sorted(balancer(*weights, seed=seed).order()) == list(range(len(weights)))


def test_first_choices_follow_the_weights() -> None:
    balance = balancer(1, 3)
    firsts = Counter(balance.order()[0] for _ in range(4000))
    assert 0.71 < firsts[1] / 4000 < 0.79


def test_later_places_follow_the_weights_of_those_left() -> None:
    balance = balancer(1000, 1, 3)
    seconds = Counter(order[1] for order in (balance.order() for _ in range(4000)) if order[0] == 0)
    assert 0.71 < seconds[2] / seconds.total() < 0.79


def test_weight_zero_is_a_reserve_behind_all_others() -> None:
    balance = balancer(0, 1, 1)
    assert {balance.order()[2] for _ in range(50)} == {0}


def test_a_failed_backend_is_tried_last_until_its_cooldown_is_over() -> None:
    clock = StillClock()
    balance = balancer(1000, 1, clock=clock)
    balance.mark_failed(0)
    assert {tuple(balance.order()) for _ in range(50)} == {(1, 0)}
    clock.seconds += 5
    assert (0, 1) in {tuple(balance.order()) for _ in range(50)}


def test_a_healthy_reserve_comes_before_a_failed_backend() -> None:
    balance = balancer(1, 0)
    balance.mark_failed(0)
    assert balance.order() == [1, 0]


def test_an_answer_ends_the_cooldown() -> None:
    balance = balancer(1000, 1)
    balance.mark_failed(0)
    balance.mark_ok(0)
    assert (0, 1) in {tuple(balance.order()) for _ in range(50)}


def test_a_cooldown_is_told_until_it_is_over() -> None:
    clock = StillClock()
    balance = balancer(1, 1, clock=clock)
    balance.mark_failed(1)
    clock.seconds += 2
    assert (balance.cooling(0), balance.cooling(1)) == (0, 3)
    clock.seconds += 9
    assert balance.cooling(1) == 0

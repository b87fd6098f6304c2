import re
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.storing.ids import IdFactory
from memrouter.models.memory import MAX_ID_CHARS

NOW = 1_767_225_600_000


class ListedClock:
    """Shows the given times one after the other, then the last one for ever."""

    def __init__(self, *times: int) -> None:
        self._times = list(times)

    def now_ms(self) -> int:
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]

    def monotonic(self) -> float:
        return 0.0


def uuid_of(memory_id: str) -> UUID:
    return UUID(hex=memory_id.removeprefix("mem_"))


def test_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    new = IdFactory(ListedClock(NOW), Random(1)).new()
    assert re.fullmatch(r"mem_[0-9a-f]{32}", new)
    assert len(new) <= MAX_ID_CHARS
    assert (uuid_of(new).version, uuid_of(new).variant) == (7, "specified in RFC 4122")
    assert uuid_of(new).int >> 80 == NOW


def test_ids_of_one_millisecond_rise_even_past_the_counter() -> None:
    ids = IdFactory(ListedClock(NOW), Random(2))
    made = [ids.new() for _ in range(20_000)]
    assert made == sorted(set(made))
    assert NOW < uuid_of(made[-1]).int >> 80 < NOW + 20


@given(st.lists(st.integers(0, 2**42), min_size=1, max_size=50), st.integers(0, 2**32))
def test_ids_rise_whatever_the_clock_does(times: list[int], seed: int) -> None:
    ids = IdFactory(ListedClock(*times), Random(seed))
    made = [ids.new() for _ in range(len(times) + 3)]
    assert made == sorted(set(made))


def test_replicas_at_the_same_moment_make_different_ids() -> None:
    clock = ListedClock(NOW)
    made = {IdFactory(clock, Random(seed)).new() for seed in range(2_000)}
    assert len(made) == 2_000
    assert len({memory_id[-15:] for memory_id in made}) == 2_000

"""The filter between retrieval and injection."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import ReflectionSettings
from memrouter.memory.hits import Hit
from memrouter.memory.reflection.drops import Drop, Dropped, Selection
from memrouter.memory.reflection.reflect import INLINE_HITS, ReflectionFilter
from memrouter.memory.reflection.reflection_algorithms import BUILT_IN, ReflectionAlgorithm
from memrouter.models.memory import MemoryRecord

from ..hits import NOW, axis, hit

HITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 500), st.integers(1, 30), st.integers(0, 3)), max_size=10)


class Words:
    """Weighs a memory by its words, and notes what was counted."""

    def __init__(self) -> None:
        self.counted = 0

    def at_most(self, record: MemoryRecord) -> int:
        return len(record.content)

    def count(self, record: MemoryRecord) -> int:
        self.counted += 1
        return words(record.content)


def words(text: str) -> int:
    return len(text.split())


def run(
    *hits: Hit,
    patterns: tuple[str, ...] = (),
    weigher: Words | None = None,
    own: ReflectionAlgorithm | None = None,
    **settings: Any,
) -> Selection:
    configured = ReflectionSettings(block_patterns=patterns, **settings)
    algorithm = own or BUILT_IN[configured.algorithm]
    return ReflectionFilter(configured, algorithm=algorithm, weigher=weigher or Words()).apply(hits, now=NOW)


def ids(selection: Selection) -> list[str]:
    return [hit.record.id for hit in selection.kept]


def reasons(selection: Selection) -> dict[str, Drop]:
    return {dropped.hit.record.id: dropped.reason for dropped in selection.dropped}


def test_hits_without_faults_pass_in_order() -> None:
    selection = run(hit("a", 0.9), hit("b", 0.8), hit("c", 0.7))
    assert ids(selection) == ["a", "b", "c"]
    assert selection.dropped == ()


def test_a_blocked_memory_is_left_out_with_its_reason() -> None:
    selection = run(hit("a", content="my pin is 1234"), hit("b"), patterns=(r"\bpin\b", r"\d{16}"))
    assert ids(selection) == ["b"]
    assert reasons(selection) == {"a": Drop.BLOCKED}


def test_a_blocked_memory_shadows_no_duplicate() -> None:
    same = axis(3)
    selection = run(hit("a", content="pin 1", embedding=same), hit("b", embedding=same), patterns=("pin",))
    assert ids(selection) == ["b"]


def test_a_pattern_out_of_time_keeps_its_memory_out() -> None:
    selection = run(hit("a", content="a" * 5000 + "!"), hit("b"), patterns=(r"^(a|a|aa)+$",))
    assert ids(selection) == ["b"]
    assert reasons(selection) == {"a": Drop.PATTERN_TIMEOUT}


def test_a_duplicate_names_the_better_memory() -> None:
    selection = run(hit("a", 0.9, embedding=axis(1)), hit("b", 0.8, embedding=axis(1)))
    assert [(each.reason, each.of) for each in selection.dropped] == [(Drop.DUPLICATE, "a")]


def test_the_budget_takes_whole_memories_and_tries_the_next_one() -> None:
    selection = run(
        hit("a", content="one two three"),
        hit("b", content="one two three four five six"),
        hit("c", content="one two"),
        max_inject_tokens=5,
    )
    assert ids(selection) == ["a", "c"]
    assert reasons(selection) == {"b": Drop.BUDGET}


def test_nothing_is_counted_where_everything_fits_for_certain() -> None:
    weigher = Words()
    hits = (hit("a", content="1234"), hit("b", content="123456"))
    assert ids(run(*hits, weigher=weigher, max_inject_tokens=10)) == ["a", "b"]
    assert weigher.counted == 0
    assert ids(run(*hits, weigher=weigher, max_inject_tokens=9)) == ["a", "b"]
    assert weigher.counted == 2


def test_switched_off_only_the_budget_applies() -> None:
    same = axis(3)
    selection = run(
        hit("a", 0.6, content="pin 1", embedding=same, days=900),
        hit("b", 0.7, content="pin 2", embedding=same),
        hit("c", content="far too many words for this"),
        patterns=("pin",),
        enabled=False,
        max_inject_tokens=4,
    )
    assert ids(selection) == ["a", "b"]
    assert reasons(selection) == {"c": Drop.BUDGET}


def test_noop_keeps_order_and_duplicates_but_neither_patterns_nor_budget_are_off() -> None:
    same = axis(3)
    selection = run(
        hit("old", 0.6, content="x y", embedding=same, days=900),
        hit("new", 0.59, content="x z", embedding=same),
        hit("pin", content="pin"),
        hit("big", content="much too long for what is left"),
        patterns=("pin",),
        algorithm="noop",
        max_inject_tokens=4,
    )
    assert ids(selection) == ["old", "new"]
    assert reasons(selection) == {"pin": Drop.BLOCKED, "big": Drop.BUDGET}


def test_an_algorithm_can_neither_add_nor_repeat_nor_lose_a_memory() -> None:
    stranger = hit("stranger")

    def careless(hits: Sequence[Hit], settings: ReflectionSettings, *, now: int) -> Selection:
        first, second, *_ = hits
        return Selection(
            (second, stranger, second), (Dropped(first, Drop.DUPLICATE, "b"), Dropped(second, Drop.BUDGET))
        )

    selection = run(hit("a"), hit("b"), hit("c"), own=careless)
    assert ids(selection) == ["b"]
    assert reasons(selection) == {"a": Drop.DUPLICATE, "c": Drop.ALGORITHM}
    assert len(selection.dropped) == 2


@pytest.mark.parametrize(
    ("count", "settings"),
    [(3, {}), (INLINE_HITS + 1, {}), (3, {"block_patterns": ("pin",)}), (3, {"algorithm": "of another package"})],
)
async def test_it_gives_the_same_in_the_event_loop_and_in_a_thread(count: int, settings: dict[str, Any]) -> None:
    configured = ReflectionSettings(max_inject_tokens=20, **settings)
    chosen = ReflectionFilter(configured, algorithm=BUILT_IN["recency_semantic"], weigher=Words())
    hits = [hit(f"m{number}", 1 - number / 1000) for number in range(count)]
    assert ids(await chosen.select(hits, now=NOW)) == ids(chosen.apply(hits, now=NOW))


@pytest.mark.parametrize(
    ("count", "length", "settings", "inline"),
    [
        (3, 20, {}, True),
        (3, 2000, {}, False),
        (INLINE_HITS + 1, 1, {}, False),
        (3, 20, {"block_patterns": ("pin",)}, False),
        (3, 20, {"algorithm": "of another package"}, False),
    ],
)
async def test_only_quick_work_is_done_in_the_event_loop(
    count: int, length: int, settings: dict[str, Any], inline: bool
) -> None:
    threads: list[str] = []

    def noting(hits: Sequence[Hit], settings: ReflectionSettings, *, now: int) -> Selection:
        threads.append(threading.current_thread().name)
        return Selection(tuple(hits))

    chosen = ReflectionFilter(ReflectionSettings(**settings), algorithm=noting, weigher=Words())
    await chosen.select([hit(f"m{number}", content="x" * length) for number in range(count)], now=NOW)
    assert (threads == [threading.main_thread().name]) == inline


@given(drawn=HITS, budget=st.integers(1, 60), threshold=st.floats(0.5, 1), enabled=st.booleans())
def test_every_hit_is_kept_or_dropped_and_the_budget_holds(
    drawn: list[tuple[float, int, int, int]], budget: int, threshold: float, enabled: bool
) -> None:
    hits = [
        hit(f"m{i}", score, days=days, embedding=axis(group), content=" ".join(["w"] * length))
        for i, (score, days, length, group) in enumerate(drawn)
    ]
    selection = run(*hits, enabled=enabled, dedup_threshold=threshold, max_inject_tokens=budget)
    dropped = [each.hit for each in selection.dropped]
    assert sorted(map(id, (*selection.kept, *dropped))) == sorted(map(id, hits))
    assert sum(words(kept.record.content) for kept in selection.kept) <= budget
    if enabled and threshold > 0.5:
        groups = [int(kept.record.embedding.argmax()) for kept in selection.kept]
        assert len(groups) == len(set(groups))

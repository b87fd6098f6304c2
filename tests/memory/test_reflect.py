from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import ReflectionSettings
from memrouter.memory.hits import Hit
from memrouter.memory.reflect import RECENCY_SHARE, BlockPatterns, Drop, Reflected, recency, reflect
from memrouter.models.memory import MemoryRecord, Source, Vector, unit

DAY = 86_400_000
NOW = 1000 * DAY
HITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 500), st.integers(1, 30), st.integers(0, 3)), max_size=10)


def axis(number: int) -> Vector:
    vector = np.zeros(16, dtype=np.float32)
    vector[number % 16] = 1
    return vector


def hit(memory_id: str, score: float = 0.8, *, days: float = 0, embedding: Vector | None = None, **fields: Any) -> Hit:
    """Return a hit whose vector is far from that of hits with another last digit."""
    created = int(NOW - days * DAY)
    record = MemoryRecord(
        id=memory_id,
        user_id="ann",
        content=fields.pop("content", f"text {memory_id}"),
        embedding=axis(ord(memory_id[-1])) if embedding is None else embedding,
        embedding_model="test",
        created_at=created,
        updated_at=created,
        **fields,
    )
    return Hit(record, score, 0.0, score)


def words(text: str) -> int:
    return len(text.split())


def run(*hits: Hit, patterns: tuple[str, ...] = (), **settings: Any) -> Reflected:
    return reflect(hits, ReflectionSettings(**settings), now=NOW, count_tokens=words, patterns=BlockPatterns(patterns))


def ids(reflected: Reflected) -> list[str]:
    return [hit.record.id for hit in reflected.hits]


def test_hits_without_faults_pass_in_order() -> None:
    reflected = run(hit("a", 0.9), hit("b", 0.8), hit("c", 0.7))
    assert ids(reflected) == ["a", "b", "c"]
    assert reflected.dropped == {}


def test_a_newer_memory_passes_an_older_one_of_nearly_the_same_score() -> None:
    assert ids(run(hit("old", 0.80, days=300), hit("new", 0.78))) == ["new", "old"]


def test_an_old_but_exact_memory_stays_first() -> None:
    assert ids(run(hit("old", 0.95, days=5000), hit("new", 0.80))) == ["old", "new"]


def test_the_fused_order_is_kept_where_age_is_the_same() -> None:
    assert ids(run(hit("a", 0.6), hit("b", 0.9), hit("c", 0.7))) == ["a", "b", "c"]


def test_recency_takes_half_its_share_at_one_half_life_and_never_more_than_all() -> None:
    assert recency(0, 30) == 1
    assert recency(-5 * DAY, 30) == 1
    assert recency(30 * DAY, 30) == pytest.approx(1 - RECENCY_SHARE / 2)
    assert recency(1e6 * DAY, 30) == pytest.approx(1 - RECENCY_SHARE)


def test_of_two_memories_that_say_the_same_the_better_stays() -> None:
    near = unit(np.array([1, 0.2] + [0] * 14))
    reflected = run(hit("a", 0.9, embedding=axis(0)), hit("b", 0.8, embedding=near), hit("c", 0.7, embedding=axis(5)))
    assert ids(reflected) == ["a", "c"]
    assert reflected.dropped == {Drop.DUPLICATE: 1}


def test_the_duplicate_threshold_is_on_the_scale_of_vector_scores() -> None:
    apart = unit(np.array([0.6, 0.8] + [0] * 14))  # cosine 0.6, score 0.8
    pair = (hit("a", embedding=axis(0)), hit("b", embedding=apart))
    assert ids(run(*pair, dedup_threshold=0.81)) == ["a", "b"]
    assert ids(run(*pair, dedup_threshold=0.80)) == ["a"]


def test_a_session_window_and_a_turn_it_contains_are_duplicates_either_way() -> None:
    turn = hit("a", content="Q: my cat?\nA: Luna.")
    window = hit("b", content="Q: hi\nA: yes\n---\nQ: my  cat?\nA: Luna.", source=Source.SESSION_WINDOW)
    assert ids(run(turn, window)) == ["a"]
    assert ids(run(window, turn)) == ["b"]
    assert ids(run(window, hit("c", content="Q: my dog?"))) == ["b", "c"]


def test_text_within_text_is_no_duplicate_without_a_session_window() -> None:
    assert ids(run(hit("a", content="my cat is Luna, 5"), hit("b", content="my cat is Luna"))) == ["a", "b"]


def test_a_blocked_memory_is_left_out_and_counted() -> None:
    reflected = run(hit("a", content="my pin is 1234"), hit("b"), patterns=(r"\bpin\b", r"\d{16}"))
    assert ids(reflected) == ["b"]
    assert reflected.dropped == {Drop.BLOCKED: 1}


def test_a_blocked_memory_shadows_no_duplicate() -> None:
    same = axis(3)
    reflected = run(hit("a", content="pin 1", embedding=same), hit("b", embedding=same), patterns=("pin",))
    assert ids(reflected) == ["b"]


def test_a_pattern_out_of_time_blocks_the_memory_and_is_counted() -> None:
    reflected = run(hit("a", content="a" * 5000 + "!"), hit("b"), patterns=(r"^(a|a|aa)+$",))
    assert ids(reflected) == ["b"]
    assert reflected.dropped == {Drop.PATTERN_TIMEOUT: 1}


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(regex.error):
        BlockPatterns(["(("])


def test_the_budget_takes_whole_memories_and_tries_the_next_one() -> None:
    reflected = run(
        hit("a", content="one two three"),
        hit("b", content="one two three four five six"),
        hit("c", content="one two"),
        max_inject_tokens=5,
    )
    assert ids(reflected) == ["a", "c"]
    assert reflected.dropped == {Drop.BUDGET: 1}


def test_switched_off_only_the_budget_applies() -> None:
    same = axis(3)
    reflected = run(
        hit("a", 0.6, content="pin 1", embedding=same, days=900),
        hit("b", 0.7, content="pin 2", embedding=same),
        hit("c", content="far too many words for this"),
        patterns=("pin",),
        enabled=False,
        max_inject_tokens=4,
    )
    assert ids(reflected) == ["a", "b"]
    assert reflected.dropped == {Drop.BUDGET: 1}


@given(drawn=HITS, budget=st.integers(1, 60), threshold=st.floats(0.5, 1), enabled=st.booleans())
def test_every_hit_is_kept_or_counted_and_the_budget_holds(
    drawn: list[tuple[float, int, int, int]], budget: int, threshold: float, enabled: bool
) -> None:
    hits = [
        hit(f"m{i}", score, days=days, embedding=axis(group), content=" ".join(["w"] * length))
        for i, (score, days, length, group) in enumerate(drawn)
    ]
    reflected = run(*hits, enabled=enabled, dedup_threshold=threshold, max_inject_tokens=budget)
    assert len(reflected.hits) + sum(reflected.dropped.values()) == len(hits)
    assert sum(words(kept.record.content) for kept in reflected.hits) <= budget
    assert {id(kept) for kept in reflected.hits} <= {id(each) for each in hits}
    if enabled and threshold > 0.5:
        groups = [int(kept.record.embedding.argmax()) for kept in reflected.hits]
        assert len(groups) == len(set(groups))

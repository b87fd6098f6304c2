"""Why a memory was found, or was not."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.hits import Hit, Recall, Traced
from memrouter.memory.reflection.drops import Drop, Dropped, Selection
from memrouter.memory.retrieval.explain import MAX_CANDIDATES, NearMiss, Trail, explain, explain_all, near_miss
from memrouter.memory.retrieval.words import Analyzer

from ..hits import NOW, hit, record

REASONS: Any = st.sampled_from([None, "threshold", "gap", "limit", "duplicate"])


def traced(place: int, dropped: Any = None, score: float = 0.8, **fields: Any) -> Traced:
    """Return a candidate that the vectors have one place lower, and the words at the same place."""
    ranks = {"vector": place + 1, "words": place, "final": place}
    memory = record(f"m{place}", **fields)
    return Traced(memory, {"vector": score, "words": 0.5}, 1 / place, score, ranks, dropped)


def hit_of(each: Traced) -> Hit:
    return Hit(each.record, each.score, 0.0, each.score)


def trail(trace: Sequence[Traced], selection: Selection | None = None, query: str = "cat") -> Trail:
    hits = tuple(hit_of(each) for each in trace if each.dropped is None)
    recall = Recall(hits, len(trace), None, tuple(trace))
    chosen = Selection(hits) if selection is None else selection
    return explain_all(recall, chosen, query, now=NOW, half_life_days=30, analyzer=Analyzer())


def test_an_explanation_names_the_shared_terms_in_the_order_of_the_query() -> None:
    found = Hit(record("m", content="Luna the cat likes boats"), 0.75, 0.5, 0.8)
    why = explain(found, "boat, cat and boats", threshold=0.7, analyzer=Analyzer())
    assert why.matched_terms == ("boat", "cat")
    assert why.cosine == pytest.approx(0.5)
    assert why.margin == pytest.approx(0.1)


def test_texts_without_a_shared_term_match_by_meaning_alone() -> None:
    assert explain(hit("m", content="a feline"), "the cat", threshold=0.7, analyzer=Analyzer()).matched_terms == ()


def test_every_candidate_tells_its_parts_its_moves_and_its_place() -> None:
    first, second = trail([traced(1), traced(2, days=30, content="Cats and dogs")]).candidates
    assert first.traced.parts == {"vector": 0.8, "words": 0.5}
    assert first.moves == {"vector": 1, "words": 0}
    assert (first.place, first.dropped, first.recency) == (1, None, 1.0)
    assert (second.place, second.dropped) == (2, None)
    assert second.recency == pytest.approx(0.95)
    assert (first.matched_terms, second.matched_terms) == ((), ("cat",))


def test_what_ranking_dropped_and_what_the_filter_dropped_have_one_reason_each() -> None:
    trace = [traced(1), traced(2), traced(3), traced(4, "gap"), traced(5, "limit"), traced(6, "threshold", 0.2)]
    hits = [hit_of(each) for each in trace[:3]]
    selection = Selection(
        (hits[2],), (Dropped(hits[0], Drop.BLOCKED), Dropped(hits[1], Drop.DUPLICATE, hits[2].record.id))
    )
    found = trail(trace, selection).candidates
    assert [each.dropped for each in found] == ["blocked", "duplicate", None, "gap", "limit", "threshold"]
    assert [each.place for each in found] == [None, None, 1, None, None, None]
    assert [each.duplicate_of for each in found] == [None, "m3", None, None, None, None]


def test_the_best_are_explained_with_every_hit_and_the_near_miss_and_the_rest_is_counted() -> None:
    size = MAX_CANDIDATES + 40
    trace = [
        traced(place, None if place in (1, size) else "threshold", 0.8 if place in (1, size) else place / 1000)
        for place in range(1, size + 1)
    ]
    found = trail(trace)
    shown = [each.traced.ranks["final"] for each in found.candidates]
    assert shown == [*range(1, MAX_CANDIDATES + 1), size - 1, size]
    assert found.omitted == 38


def test_the_near_miss_is_the_best_of_those_below_the_threshold() -> None:
    trace = [traced(1, "gap", 0.7), traced(2, "threshold", 0.5), traced(3, "threshold", 0.55)]
    assert near_miss(trace, 0.6) == NearMiss("m3", 0.55, 0.6, pytest.approx(0.05))
    assert near_miss(trace[:1], 0.6) is None
    assert near_miss([], 0.6) is None


@given(st.lists(st.tuples(REASONS, st.floats(0, 1)), max_size=80))
def test_every_candidate_is_shown_or_counted_in_order(drawn: list[tuple[Any, float]]) -> None:
    trace = [traced(place, reason, score) for place, (reason, score) in enumerate(drawn, start=1)]
    found = trail(trace, query="")
    shown = [each.traced.ranks["final"] for each in found.candidates]
    assert shown == sorted(shown)
    assert len(shown) + found.omitted == len(trace)
    assert {each.ranks["final"] for each in trace if each.dropped is None} <= set(shown)

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memrouter.memory.corpus import Corpus, _build
from memrouter.memory.policy import HybridMode, RecallPolicy
from memrouter.memory.ranking import GAP_MIN, LEXICAL_LIFT, before_gap, fuse, lifted, rank
from memrouter.memory.words import Analyzer
from memrouter.models.memory import MemoryRecord, Vector, unit

ANALYZER = Analyzer()
MODES: tuple[HybridMode, ...] = ("rerank", "weighted", "rrf")
QUERY = "badge zebra"
EXACT = RecallPolicy(limit=100, threshold=0, adaptive=False)

SCORES = st.floats(0, 1).map(lambda score: round(score, 6))
SIDES = st.integers(1, 12).flatmap(
    lambda n: st.tuples(st.lists(SCORES, min_size=n, max_size=n), st.lists(SCORES, min_size=n, max_size=n))
)
TEXTS = st.sampled_from(["badge", "zebra", "badge zebra", "cat", "cat dog", "badge cat dog bird", ""])
MEMORIES = st.lists(
    st.tuples(st.floats(-1, 1), TEXTS, st.integers(0, 3), st.sampled_from([None, "talk", "chat"]), st.integers(0, 4)),
    max_size=12,
)


def at(cosine: float) -> Vector:
    """Return a unit vector with this cosine to the query's."""
    return unit(np.array([cosine, np.sqrt(max(0.0, 1 - cosine**2))]))


QUERY_VECTOR = at(1)


def memory(memory_id: str, cosine: float = 0.0, content: str = "cat", **fields: Any) -> MemoryRecord:
    fields.setdefault("created_at", 1)
    return MemoryRecord(
        id=memory_id,
        user_id="ann",
        content=content,
        embedding=at(cosine),
        embedding_model="test",
        updated_at=fields["created_at"],
        **fields,
    )


def corpus_of(*records: MemoryRecord) -> Corpus:
    return _build(records, ANALYZER, 1, {})


def ranked(*records: MemoryRecord, policy: RecallPolicy = EXACT, now: int = 0) -> list[str]:
    recall = rank(corpus_of(*records), QUERY_VECTOR, ANALYZER.terms(QUERY), policy, now=now)
    return [hit.record.id for hit in recall.hits]


def policy(mode: HybridMode = "rerank", **fields: Any) -> RecallPolicy:
    return RecallPolicy(**{"limit": 100, "threshold": 0, "adaptive": False, "mode": mode, **fields})


def records_of(drawn: list[tuple[float, str, int, str | None, int]]) -> list[MemoryRecord]:
    return [
        memory(f"m{i:02}", cosine, text, created_at=created, conversation_id=talk, turn_index=turn)
        for i, (cosine, text, created, talk, turn) in enumerate(drawn)
    ]


def array(values: list[float]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


@given(SIDES)
def test_scores_lie_between_the_vector_score_and_one(sides: tuple[list[float], list[float]]) -> None:
    vectors, words = array(sides[0]), array(sides[1])
    scores = lifted(vectors, words)
    assert (scores >= vectors).all()
    assert (scores <= 1).all()
    assert (lifted(vectors, np.zeros_like(words)) == vectors).all()


@given(SIDES, st.data())
def test_a_better_side_never_lowers_a_score(sides: tuple[list[float], list[float]], data: st.DataObject) -> None:
    vectors, words = array(sides[0]), array(sides[1])
    better = data.draw(st.floats(0, 1))
    for side in (vectors, words):
        before = lifted(vectors, words)[0]
        side[0] = max(side[0], better)
        assert lifted(vectors, words)[0] >= before - 1e-12


@pytest.mark.parametrize("mode", MODES)
@given(sides=SIDES, data=st.data())
def test_a_better_side_never_costs_a_place(
    mode: HybridMode, sides: tuple[list[float], list[float]], data: st.DataObject
) -> None:
    def beaten(vectors: NDArray[np.float64], words: NDArray[np.float64]) -> set[int]:
        values = np.round(fuse(vectors, words, mode), 9)
        return set(np.flatnonzero(values <= values[0] + 1e-8).tolist())

    better = data.draw(st.floats(0, 1))
    side = data.draw(st.integers(0, 1))
    before = beaten(array(sides[0]), array(sides[1]))
    raised = [array(sides[0]), array(sides[1])]
    raised[side][0] = max(raised[side][0], better)
    assert before <= beaten(raised[0], raised[1])


@pytest.mark.parametrize("mode", MODES)
@given(drawn=MEMORIES, seed=st.integers())
def test_the_order_of_the_input_does_not_matter(
    mode: HybridMode, drawn: list[tuple[float, str, int, str | None, int]], seed: int
) -> None:
    records = records_of(drawn)
    shuffled = random.Random(seed).sample(records, len(records))
    assert ranked(*records, policy=policy(mode)) == ranked(*shuffled, policy=policy(mode))


@pytest.mark.parametrize("mode", MODES)
@given(drawn=MEMORIES, threshold=st.floats(0, 1), limit=st.integers(1, 12), adaptive=st.booleans())
def test_every_hit_passes_the_floor_and_the_best_miss_does_not(
    mode: HybridMode,
    drawn: list[tuple[float, str, int, str | None, int]],
    threshold: float,
    limit: int,
    adaptive: bool,
) -> None:
    corpus = corpus_of(*records_of(drawn))
    asked = policy(mode, threshold=threshold, limit=limit, adaptive=adaptive)
    recall = rank(corpus, QUERY_VECTOR, ANALYZER.terms(QUERY), asked, now=0)
    assert recall.considered == len(drawn)
    assert len(recall.hits) <= limit
    for hit in recall.hits:
        assert 0 <= hit.vector_score <= hit.score <= 1
        assert 0 <= hit.lexical_score <= 1
        assert hit.score >= threshold
    assert recall.best_miss is None or recall.best_miss < threshold
    if not recall.hits:
        assert (recall.best_miss is None) == (not drawn)


@given(drawn=MEMORIES)
def test_without_words_the_order_is_that_of_the_vectors(
    drawn: list[tuple[float, str, int, str | None, int]],
) -> None:
    corpus = corpus_of(*records_of(drawn))
    recall = rank(corpus, QUERY_VECTOR, ANALYZER.terms(QUERY), policy(hybrid=False), now=0)
    keys = [(-hit.vector_score, -hit.record.created_at) for hit in recall.hits]
    assert keys == sorted(keys)
    assert all(hit.score == hit.vector_score and hit.lexical_score == 0 for hit in recall.hits)


@pytest.mark.parametrize("mode", ["rerank", "rrf"])
def test_a_memory_that_only_the_words_find_can_win(mode: HybridMode) -> None:
    fillers = [memory(f"f{i}", 0.2 - i / 100) for i in range(9)]
    assert ranked(memory("words", 0.1, "badge zebra"), *fillers, policy=policy(mode))[0] == "words"


def test_words_alone_can_pass_the_floor_but_not_a_strict_one() -> None:
    found = memory("words", 0.0, "badge zebra")
    assert ranked(found, policy=policy(threshold=0.7)) == ["words"]
    assert ranked(found, policy=policy(threshold=0.7, hybrid=False)) == []
    assert ranked(found, policy=policy(threshold=0.99)) == []


def test_the_score_is_the_vector_score_lifted_by_the_share_of_words() -> None:
    recall = rank(corpus_of(memory("a", 0.2, "badge zebra")), QUERY_VECTOR, ANALYZER.terms(QUERY), EXACT, now=0)
    hit = recall.hits[0]
    assert hit.vector_score == pytest.approx(0.6)
    assert hit.lexical_score == 1.0
    assert hit.score == pytest.approx(0.6 + 0.4 * LEXICAL_LIFT)


def test_equal_memories_come_newest_first_then_by_descending_id() -> None:
    records = [memory("a", created_at=5), memory("b", created_at=9), memory("c", created_at=5)]
    assert ranked(*records) == ["b", "c", "a"]


def test_the_turn_beside_a_hit_gains_weight() -> None:
    question = memory("question", 0.5, "badge zebra", conversation_id="talk", turn_index=3)
    answer = memory("answer", 0.1, conversation_id="talk", turn_index=4)
    stranger = memory("stranger", 0.15, conversation_id="chat", turn_index=4)
    assert ranked(question, answer, stranger) == ["question", "answer", "stranger"]
    assert ranked(question, answer, stranger, policy=policy("weighted")) == ["question", "stranger", "answer"]


def test_an_expired_neighbour_lends_nothing() -> None:
    question = memory("question", 0.5, "badge zebra", conversation_id="talk", turn_index=3, expires_at=10)
    answer = memory("answer", 0.1, conversation_id="talk", turn_index=4)
    stranger = memory("stranger", 0.15)
    far = memory("far", -0.5)
    assert ranked(question, answer, stranger, far, now=9) == ["question", "answer", "stranger", "far"]
    assert ranked(question, answer, stranger, far, now=10) == ["stranger", "answer", "far"]


def test_nothing_visible_gives_nothing() -> None:
    recall = rank(corpus_of(memory("a", expires_at=5)), QUERY_VECTOR, ["badge"], EXACT, now=5)
    assert (recall.hits, recall.considered, recall.best_miss) == ((), 0, None)


def test_the_best_miss_is_the_highest_score_below_the_floor() -> None:
    recall = rank(
        corpus_of(memory("a", 0.2), memory("b", 0.4), memory("c", 0.9)),
        QUERY_VECTOR,
        [],
        policy(threshold=0.75),
        now=0,
    )
    assert [hit.record.id for hit in recall.hits] == ["c"]
    assert recall.best_miss == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.9, 0.7, 0.69, 0.68], [True, False, False, False]),  # one gap stands out
        ([0.9, 0.85, 0.84, 0.65], [True, True, True, False]),
        ([0.9, 0.8, 0.7, 0.6], [True] * 4),  # all gaps alike
        ([0.75, 0.7, 0.69, 0.68], [True] * 4),  # the widest is too small
        ([0.7, 0.95, 0.94], [True, True, True]),  # the first hit stays, whatever its score
        ([0.9, 0.7], [True, False]),
        ([0.5], [True]),
        ([], []),
    ],
)
def test_the_adaptive_threshold_cuts_at_a_pronounced_gap(scores: list[float], kept: list[bool]) -> None:
    assert before_gap(array(scores)).tolist() == kept


@given(st.lists(SCORES, min_size=1, max_size=12))
def test_the_adaptive_threshold_keeps_the_first_and_never_parts_equals(scores: list[float]) -> None:
    keep = before_gap(array(scores))
    assert keep[0]
    dropped = [score for score, kept in zip(scores, keep, strict=True) if not kept]
    others = [score for score, kept in zip(scores[1:], keep[1:], strict=True) if kept]
    if dropped and others:
        assert min(others) >= max(dropped) + GAP_MIN - 1e-9


def test_reciprocal_ranks_share_a_rank_between_equals() -> None:
    values = fuse(array([0.9, 0.5, 0.5]), array([0.0, 0.3, 0.3]), "rrf")
    assert values == pytest.approx([1 / 61, 1 / 62 + 1 / 61, 1 / 62 + 1 / 61])


def test_what_the_asker_has_already_takes_nobodys_place() -> None:
    corpus = corpus_of(memory("a", 0.9, "badge"), memory("b", 0.8, "badge"), memory("c", 0.2, "other"))
    asked = policy(limit=1, threshold=0)
    recall = rank(corpus, QUERY_VECTOR, ANALYZER.terms(QUERY), asked, now=0, known=lambda record: record.id == "a")
    assert [hit.record.id for hit in recall.hits] == ["b"]
    assert recall.considered == 2
    nothing = rank(corpus, QUERY_VECTOR, ANALYZER.terms(QUERY), asked, now=0, known=lambda _: True)
    assert nothing.hits == ()

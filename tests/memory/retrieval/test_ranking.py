import random
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memrouter.config.retrieval import RetrievalSettings, SignalWeights
from memrouter.memory.policy import HybridMode, RecallPolicy
from memrouter.memory.retrieval.corpus import Corpus, _build
from memrouter.memory.retrieval.question import Question, parse_question
from memrouter.memory.retrieval.ranking import GAP_MIN, before_gap, fuse, rank
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, Vector, unit

ANALYZER = Analyzer()
MODES: tuple[HybridMode, ...] = ("rerank", "weighted", "rrf")
QUERY = "badge zebra"
ASKED = parse_question(QUERY, ANALYZER, now=0)
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
    return _build(records, ANALYZER, 1)


def ranked(*records: MemoryRecord, policy: RecallPolicy = EXACT, now: int = 0) -> list[str]:
    recall = rank(corpus_of(*records), QUERY_VECTOR, ASKED, policy, now=now)
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


@pytest.mark.parametrize("mode", ["weighted", "rrf"])
@given(sides=SIDES, data=st.data())
def test_a_better_side_never_costs_a_place(
    mode: Literal["weighted", "rrf"], sides: tuple[list[float], list[float]], data: st.DataObject
) -> None:
    def beaten(vectors: NDArray[np.float64], words: NDArray[np.float64]) -> set[int]:
        values = np.round(fuse(vectors, words, mode, RetrievalSettings()), 9)
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
    recall = rank(corpus, QUERY_VECTOR, ASKED, asked, now=0)
    assert recall.considered == len(drawn)
    assert len(recall.hits) <= limit
    for hit in recall.hits:
        assert 0 <= hit.vector_score <= 1
        assert 0 <= hit.score <= 1
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
    recall = rank(corpus, QUERY_VECTOR, ASKED, policy(hybrid=False), now=0)
    keys = [(-hit.vector_score, -hit.record.created_at) for hit in recall.hits]
    assert keys == sorted(keys)
    assert all(hit.score == hit.vector_score and hit.lexical_score == 0 for hit in recall.hits)


@pytest.mark.parametrize("mode", ["rerank", "rrf"])
def test_a_memory_that_only_the_words_find_can_win(mode: HybridMode) -> None:
    fillers = [memory(f"f{i}", 0.2 - i / 100) for i in range(9)]
    assert ranked(memory("words", 0.1, "badge zebra"), *fillers, policy=policy(mode))[0] == "words"


def test_words_help_a_memory_past_the_floor() -> None:
    found, other = memory("words", 0.2, "badge zebra"), memory("other", 0.2)
    assert ranked(found, policy=policy(threshold=0.75)) == ["words"]
    assert ranked(other, policy=policy(threshold=0.75)) == []
    assert ranked(found, policy=policy(threshold=0.75, hybrid=False)) == []


def test_equal_memories_come_newest_first_then_by_descending_id() -> None:
    texts = {"a": "cat one", "b": "cat two", "c": "cat six"}
    records = [memory(name, content=text, created_at=9 if name == "b" else 5) for name, text in texts.items()]
    assert ranked(*records) == ["b", "c", "a"]


def test_the_turn_beside_a_hit_gains_weight() -> None:
    question = memory("question", 0.5, "badge zebra", conversation_id="talk", turn_index=3)
    answer = memory("answer", 0.1, "yes", conversation_id="talk", turn_index=4)
    stranger = memory("stranger", 0.15, conversation_id="chat", turn_index=4)
    assert ranked(question, answer, stranger) == ["question", "answer", "stranger"]
    assert ranked(question, answer, stranger, policy=policy(hybrid=False)) == ["question", "stranger", "answer"]


def test_an_expired_neighbour_lends_nothing() -> None:
    question = memory("question", 0.5, "badge zebra", conversation_id="talk", turn_index=3, expires_at=10)
    answer = memory("answer", 0.1, "yes", conversation_id="talk", turn_index=4)
    stranger = memory("stranger", 0.15)
    far = memory("far", -0.5, "no")
    assert ranked(question, answer, stranger, far, now=9) == ["question", "answer", "stranger", "far"]
    assert ranked(question, answer, stranger, far, now=10) == ["stranger", "answer", "far"]


def test_nothing_visible_gives_nothing() -> None:
    recall = rank(corpus_of(memory("a", expires_at=5)), QUERY_VECTOR, ASKED, EXACT, now=5)
    assert (recall.hits, recall.considered, recall.best_miss) == ((), 0, None)


def test_the_best_miss_is_the_highest_score_below_the_floor() -> None:
    recall = rank(
        corpus_of(memory("a", 0.2), memory("b", 0.4), memory("c", 0.9)),
        QUERY_VECTOR,
        Question(),
        policy(threshold=0.75, hybrid=False),
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
    assert before_gap(scores) == kept


@given(st.lists(SCORES, min_size=1, max_size=12))
def test_the_adaptive_threshold_keeps_the_first_and_never_parts_equals(scores: list[float]) -> None:
    keep = before_gap(scores)
    assert keep[0]
    dropped = [score for score, kept in zip(scores, keep, strict=True) if not kept]
    others = [score for score, kept in zip(scores[1:], keep[1:], strict=True) if kept]
    if dropped and others:
        assert min(others) >= max(dropped) + GAP_MIN - 1e-9


def test_reciprocal_ranks_share_a_rank_between_equals() -> None:
    values = fuse(array([0.9, 0.5, 0.5]), array([0.0, 0.3, 0.3]), "rrf", RetrievalSettings())
    assert values == pytest.approx([1 / 61, 1 / 62 + 1 / 61, 1 / 62 + 1 / 61])


def test_what_the_asker_has_already_takes_nobodys_place() -> None:
    corpus = corpus_of(memory("a", 0.9, "badge"), memory("b", 0.8, "badge"), memory("c", 0.2, "other"))
    asked = policy(limit=1, threshold=0)
    recall = rank(corpus, QUERY_VECTOR, ASKED, asked, now=0, known=lambda record: record.id == "a")
    assert [hit.record.id for hit in recall.hits] == ["b"]
    assert recall.considered == 2
    nothing = rank(corpus, QUERY_VECTOR, ASKED, asked, now=0, known=lambda _: True)
    assert nothing.hits == ()


def test_copies_take_one_place_and_the_newest_has_it() -> None:
    copies = [memory(f"copy{i}", 0.9, "badge of mine", created_at=i) for i in range(5)]
    other = memory("other", 0.5, "zebra")
    assert ranked(*copies, other, policy=policy(limit=2)) == ["copy4", "other"]


def test_texts_that_differ_in_a_number_are_no_copies() -> None:
    records = [memory("a", 0.9, "badge 90210"), memory("b", 0.9, "badge 90211")]
    assert len(ranked(*records)) == 2


@given(drawn=MEMORIES, threshold=st.floats(0, 1), limit=st.integers(1, 12), adaptive=st.booleans())
def test_the_score_of_a_memory_is_the_same_in_every_mode(
    drawn: list[tuple[float, str, int, str | None, int]], threshold: float, limit: int, adaptive: bool
) -> None:
    corpus = corpus_of(*records_of(drawn))
    traces = [
        rank(
            corpus,
            QUERY_VECTOR,
            ASKED,
            policy(mode, threshold=threshold, limit=limit, adaptive=adaptive),
            now=0,
            explain=True,
        ).trace
        for mode in MODES
    ]
    scores = [{traced.record.id: traced.score for traced in trace} for trace in traces]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.parametrize("mode", MODES)
@given(drawn=MEMORIES, threshold=st.floats(0, 1), limit=st.integers(1, 12), adaptive=st.booleans())
def test_a_trace_tells_of_every_candidate_and_of_the_hits_as_they_are(
    mode: HybridMode,
    drawn: list[tuple[float, str, int, str | None, int]],
    threshold: float,
    limit: int,
    adaptive: bool,
) -> None:
    corpus = corpus_of(*records_of(drawn))
    asked = policy(mode, threshold=threshold, limit=limit, adaptive=adaptive)
    recall = rank(corpus, QUERY_VECTOR, ASKED, asked, now=0, explain=True)
    assert [traced.record.id for traced in recall.trace if traced.dropped is None] == [
        hit.record.id for hit in recall.hits
    ]
    assert len(recall.trace) == len(drawn)
    assert [traced.ranks["final"] for traced in recall.trace] == list(range(1, len(drawn) + 1))
    for traced in recall.trace:
        assert set(traced.ranks) == {*traced.parts, "final"}
        assert all(np.isfinite(part) for part in traced.parts.values())
        assert np.isfinite(traced.value)
        assert (traced.dropped == "threshold") == (traced.score < threshold)
    assert rank(corpus, QUERY_VECTOR, ASKED, asked, now=0).trace == ()


@pytest.mark.parametrize("mode", MODES)
@given(drawn=MEMORIES)
def test_what_a_trace_shows_adds_up_to_the_value_that_the_order_comes_from(
    mode: HybridMode, drawn: list[tuple[float, str, int, str | None, int]]
) -> None:
    asked = policy(mode)
    weights, settings = asked.ranking.weights, asked.ranking
    for traced in rank(corpus_of(*records_of(drawn)), QUERY_VECTOR, ASKED, asked, now=0, explain=True).trace:
        parts, ranks = traced.parts, traced.ranks
        by_weight = parts | {"vector": parts["neighbour"]}
        shown = {
            "rerank": sum(
                getattr(weights, name) * by_weight[name] for name in SignalWeights.model_fields if name != "spelling"
            ),
            "weighted": settings.vector_share * parts["vector"] + (1 - settings.vector_share) * parts["coverage"],
            "rrf": 1 / (settings.rrf_k + ranks["vector"])
            + (1 / (settings.rrf_k + ranks["coverage"]) if parts["coverage"] else 0),
        }
        assert traced.value == pytest.approx(shown[mode])


def test_every_weight_is_that_of_a_signal_or_of_spelling() -> None:
    recall = rank(corpus_of(memory("a", 0.2, "badge")), QUERY_VECTOR, ASKED, EXACT, now=0, explain=True)
    signals = {"vector" if name == "neighbour" else name for name in recall.trace[0].parts}
    signals -= {"words", "coverage"}
    assert signals | {"spelling"} == set(SignalWeights.model_fields)


@given(drawn=MEMORIES)
def test_without_weights_the_newest_comes_first(drawn: list[tuple[float, str, int, str | None, int]]) -> None:
    nothing = RetrievalSettings(weights=SignalWeights(**dict.fromkeys(SignalWeights.model_fields, 0)))
    corpus = corpus_of(*records_of(drawn))
    recall = rank(corpus, QUERY_VECTOR, ASKED, policy(ranking=nothing), now=0)
    places = [corpus.records.index(hit.record) for hit in recall.hits]
    assert places == sorted(places)

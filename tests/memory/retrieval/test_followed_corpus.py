"""A corpus that follows changes ranks as one that was built anew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.hits import Recall
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.corpus import Corpus, build_corpus, follow
from memrouter.memory.retrieval.question import parse_question
from memrouter.memory.retrieval.ranking import rank
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, Scope, Source
from memrouter.stores.query import ALL_TYPES, Change
from memrouter.testing.records import text_vector

ANN = Scope("ann")
ANALYZER = Analyzer()
WORDS = ("cat", "Luna", "dog", "Rex", "Paris", "went", "yesterday", "2023", "soup", "guitar", "gitar", "blue")
POLICY = RecallPolicy(limit=30, threshold=0.0, adaptive=False)
NOW = 10_000


@st.composite
def memories(draw: Any, *, numbers: int) -> MemoryRecord:
    content = " ".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)))
    content = draw(st.sampled_from(["", "Ann: ", "Bob: ", "Cleo: "])) + content
    created = draw(st.integers(1, 20))
    return MemoryRecord(
        id=f"m{draw(st.integers(0, numbers - 1)):02}",
        user_id="ann",
        embedding=text_vector(content, 16),
        embedding_model="test",
        content=content,
        created_at=created,
        updated_at=created,
        source=draw(st.sampled_from([Source.CONVERSATION, Source.SESSION_WINDOW])),
        conversation_id=draw(st.sampled_from([None, "one", "two", "three"])),
        turn_index=draw(st.sampled_from([None, 0, 1, 2, 3, 4])),
        role=draw(st.sampled_from([None, "user", "assistant"])),
        expires_at=draw(st.sampled_from([None, None, NOW - 1, NOW + 1])),
    )


def asked(corpus: Corpus, question: str) -> Recall:
    analysed = parse_question(question, corpus.analyzer, now=NOW)
    return rank(corpus, text_vector(question, 16), analysed, POLICY, now=NOW, explain=True)


def parts(recall: Recall) -> list[tuple[float, ...]]:
    return [(*traced.parts.values(), traced.value, traced.score) for traced in recall.trace]


def by_term(corpus: Corpus) -> dict[str, dict[int, int]]:
    postings = corpus.index.postings
    spans = zip(postings.vocabulary, postings.starts[:-1].tolist(), postings.starts[1:].tolist(), strict=True)
    return {
        term: dict(zip(postings.texts[a:b].tolist(), postings.counts[a:b].tolist(), strict=True))
        for term, a, b in spans
    }


async def anew(records: Sequence[MemoryRecord], generation: int) -> Corpus:
    return await build_corpus(records, analyzer=ANALYZER, generation=generation)


@given(data=st.data(), question=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join))
async def test_a_followed_corpus_ranks_as_one_built_anew(data: st.DataObject, question: str) -> None:
    first = data.draw(st.lists(memories(numbers=16), unique_by=lambda each: each.id, min_size=6, max_size=16))
    held = {record.id: record for record in first}
    corpus = await anew(first, 0)
    for number in range(1, 1 + data.draw(st.integers(1, 3))):
        put = {each.id: each for each in data.draw(st.lists(memories(numbers=20), max_size=3))}
        gone = frozenset(data.draw(st.sets(st.sampled_from([f"m{i:02}" for i in range(20)]), max_size=3))) - put.keys()
        held = {name: each for name, each in held.items() if name not in gone} | put
        change = Change("ann", after=number, put=list(put.values()), remove=gone)
        corpus = await follow(corpus, [change], analyzer=ANALYZER, generation=number, scope=ANN, types=ALL_TYPES)
        fresh = await anew(list(held.values()), number)
        assert corpus.records == fresh.records
        assert corpus.terms == fresh.terms
        assert np.array_equal(corpus.matrix, fresh.matrix)
        assert by_term(corpus) == by_term(fresh)
        assert corpus.provenance.names.keys() == fresh.provenance.names.keys()
        assert abs(corpus.nbytes - fresh.nbytes) < 500
        for asking in (question, f"when did Bob say {question}?"):
            one, other = asked(corpus, asking), asked(fresh, asking)
            assert [hit.record.id for hit in one.hits] == [hit.record.id for hit in other.hits]
            np.testing.assert_allclose(parts(one), parts(other), rtol=0, atol=1e-6)


async def test_what_followed_is_taken_over_not_analysed_again() -> None:
    class Counting(Analyzer):
        analysed = 0

        def terms(self, text: str) -> list[str]:
            self.analysed += text.startswith("fact")
            return super().terms(text)

    analyzer = Counting()
    records = [
        MemoryRecord(
            id=f"m{number}",
            user_id="ann",
            content=f"fact {number}",
            embedding=text_vector(str(number), 16),
            embedding_model="test",
            created_at=number,
            updated_at=number,
        )
        for number in range(9)
    ]
    corpus = await build_corpus(records[:8], analyzer=analyzer, generation=1)
    analyzer.analysed = 0
    change = Change("ann", after=1, put=records[8:])
    await follow(corpus, [change], analyzer=analyzer, generation=2, scope=ANN, types=ALL_TYPES)
    assert analyzer.analysed == 1

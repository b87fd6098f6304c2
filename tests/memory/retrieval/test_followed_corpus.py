"""A corpus that follows changes ranks as one that was built anew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

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


def memory(number: int, text: str, **fields: Any) -> MemoryRecord:
    return MemoryRecord(
        id=f"m{number:02}",
        user_id="ann",
        content=text,
        embedding=text_vector(text, 16),
        embedding_model="test",
        created_at=number,
        updated_at=number,
        **fields,
    )


def asked(corpus: Corpus, question: str) -> Recall:
    analysed = parse_question(question, corpus.analyzer, now=NOW)
    return rank(corpus, text_vector(question, 16), analysed, POLICY, now=NOW, explain=True)


def parts(recall: Recall) -> list[tuple[float, ...]]:
    return [(*traced.parts.values(), traced.value, traced.score) for traced in recall.trace]


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
        assert corpus.provenance.names.keys() == fresh.provenance.names.keys()
        assert 0 <= corpus.nbytes - fresh.nbytes + 500 < 20_000  # it has room to grow
        for asking in (question, f"when did Bob say {question}?"):
            one, other = asked(corpus, asking), asked(fresh, asking)
            assert [hit.record.id for hit in one.hits] == [hit.record.id for hit in other.hits]
            np.testing.assert_allclose(parts(one), parts(other), rtol=0, atol=1e-6)


@given(data=st.data(), question=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join))
async def test_a_corpus_that_new_memories_come_to_ranks_as_one_built_anew(data: st.DataObject, question: str) -> None:
    held = data.draw(st.lists(memories(numbers=8), unique_by=lambda each: each.id, min_size=2, max_size=8))
    corpus, made = await anew(held, 0), 0
    for number in range(1, 1 + data.draw(st.integers(1, 12))):
        added = data.draw(st.lists(memories(numbers=1), min_size=1, max_size=2))
        put = [replace(each, id=f"n{made + place:02}", created_at=20 + number) for place, each in enumerate(added)]
        made += len(put)
        held, before = [*held, *put], corpus
        matrix = before.matrix.copy()
        change = Change("ann", after=number, put=put)
        corpus = await follow(corpus, [change], analyzer=ANALYZER, generation=number, scope=ANN, types=ALL_TYPES)
        assert np.array_equal(before.matrix, matrix)
    fresh = await anew(held, number)
    assert corpus.records == fresh.records
    assert corpus.terms == fresh.terms
    assert np.array_equal(corpus.matrix, fresh.matrix)
    assert np.array_equal(corpus.expiry, fresh.expiry)
    assert corpus.provenance.shares_turns == fresh.provenance.shares_turns
    for asking in (question, f"when did Bob say {question}?"):
        one, other = asked(corpus, asking), asked(fresh, asking)
        assert [hit.record.id for hit in one.hits] == [hit.record.id for hit in other.hits]
        np.testing.assert_allclose(parts(one), parts(other), rtol=0, atol=1e-6)


async def test_two_changes_of_one_corpus_do_not_see_each_other() -> None:
    async def with_one_more(corpus: Corpus, record: MemoryRecord) -> Corpus:
        change = Change("ann", after=1, put=[record])
        return await follow(corpus, [change], analyzer=ANALYZER, generation=2, scope=ANN, types=ALL_TYPES)

    records = [memory(number, f"text {number}") for number in range(6)]
    first = await with_one_more(await anew(records[:5], 1), records[5])
    cat, dog = await with_one_more(first, memory(9, "cat")), await with_one_more(first, memory(9, "dog"))
    assert np.array_equal(cat.matrix, (await anew([*records, memory(9, "cat")], 2)).matrix)
    assert np.array_equal(dog.matrix, (await anew([*records, memory(9, "dog")], 2)).matrix)
    assert (asked(cat, "dog").hits[0].lexical_score, asked(dog, "dog").hits[0].lexical_score) == (0.0, 1.0)


async def test_what_concerns_other_memories_changes_the_generation_alone() -> None:
    corpus = await anew([memory(1, "cat")], 1)
    change = Change("ann", after=1, put=[memory(2, "dog", project_id="other")])
    later = await follow(corpus, [change], analyzer=ANALYZER, generation=2, scope=ANN, types=ALL_TYPES)
    assert (later.records, later.generation, later.nbytes) == (corpus.records, 2, corpus.nbytes)
    assert later.index is corpus.index


async def test_what_followed_is_taken_over_not_analysed_again() -> None:
    class Counting(Analyzer):
        analysed = 0

        def terms(self, text: str) -> list[str]:
            self.analysed += text.startswith("fact")
            return super().terms(text)

    analyzer = Counting()
    records = [memory(number, f"fact {number}") for number in range(9)]
    corpus = await build_corpus(records[:8], analyzer=analyzer, generation=1)
    analyzer.analysed = 0
    change = Change("ann", after=1, put=records[8:])
    await follow(corpus, [change], analyzer=analyzer, generation=2, scope=ANN, types=ALL_TYPES)
    assert analyzer.analysed == 1

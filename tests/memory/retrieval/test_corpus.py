import asyncio
from typing import Any

import numpy as np
import pytest

from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.retrieval.corpus import INLINE_CHARS, Corpus, build_corpus
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, Vector, unit


def vector(*numbers: float) -> Vector:
    return unit(np.array(numbers))


def memory(memory_id: str, content: str = "text", **fields: Any) -> MemoryRecord:
    fields.setdefault("created_at", 1)
    fields.setdefault("embedding", vector(1, 0))
    return MemoryRecord(
        id=memory_id, user_id="ann", content=content, embedding_model="test", updated_at=fields["created_at"], **fields
    )


async def corpus_of(*records: MemoryRecord, previous: Corpus | None = None, analyzer: Analyzer | None = None) -> Corpus:
    return await build_corpus(records, analyzer=analyzer or Analyzer(), generation=7, previous=previous)


class CountingAnalyzer(Analyzer):
    def __init__(self) -> None:
        super().__init__()
        self.analysed: list[str] = []

    def terms(self, text: str) -> list[str]:
        self.analysed.append(text)
        return super().terms(text)


async def test_records_are_newest_first_then_by_descending_id() -> None:
    corpus = await corpus_of(memory("a", created_at=5), memory("b", created_at=5), memory("c", created_at=9))
    assert [record.id for record in corpus.records] == ["c", "b", "a"]
    assert corpus.generation == 7


async def test_expired_and_replaced_memories_are_invisible() -> None:
    corpus = await corpus_of(
        memory("d", expires_at=100), memory("c", expires_at=101), memory("b"), memory("a", superseded_by="b")
    )
    assert corpus.visible(100).tolist() == [False, True, True, False]


async def test_vector_scores_are_on_the_common_scale() -> None:
    corpus = await corpus_of(
        memory("c", embedding=vector(1, 0)), memory("b", embedding=vector(0, 1)), memory("a", embedding=vector(-1, 0))
    )
    assert corpus.vector_scores(vector(1, 0)).tolist() == [1.0, 0.5, 0.0]


async def test_equal_vectors_have_equal_scores_wherever_they_stand() -> None:
    generator = np.random.default_rng(5)
    same = unit(generator.normal(size=256))
    others = [unit(generator.normal(size=256)) for _ in range(300)]
    records = [memory(f"{i:03}", embedding=same if i % 7 == 0 else others[i]) for i in range(300)]
    corpus = await corpus_of(*records)
    scores = corpus.vector_scores(unit(generator.normal(size=256)))
    twins = [score for record, score in zip(corpus.records, scores, strict=True) if record.embedding is same]
    assert len(set(twins)) == 1


async def test_terms_of_unchanged_contents_are_taken_from_the_previous_corpus() -> None:
    first = await corpus_of(memory("a", "cats purr"), memory("b", "dogs bark"))
    analyzer = CountingAnalyzer()
    second = await corpus_of(
        memory("a", "cats purr"), memory("b", "dogs howl"), memory("c", "birds sing"), previous=first, analyzer=analyzer
    )
    assert "cats purr" not in analyzer.analysed
    assert {"birds sing", "dogs howl"} <= set(analyzer.analysed)
    fresh = await corpus_of(*second.records)
    assert second.terms == fresh.terms
    assert second.index.scores(["dog"]).tolist() == fresh.index.scores(["dog"]).tolist()


async def test_terms_of_another_language_are_not_taken_over() -> None:
    first = await corpus_of(memory("a", "running"), analyzer=Analyzer("german"))
    second = await corpus_of(memory("a", "running"), previous=first)
    assert (first.terms, second.terms) == ((("running",),), (("run",),))


async def test_an_owner_without_memories_has_an_empty_corpus() -> None:
    corpus = await corpus_of()
    assert corpus.records == ()
    assert corpus.vector_scores(vector(1, 0)).size == 0
    assert corpus.nbytes > 0


async def test_size_covers_contents_and_vectors() -> None:
    vectors = await HashEmbedder(64).embed([str(i) for i in range(50)])
    records = [memory(str(i), "x" * 1000, embedding=row) for i, row in enumerate(vectors)]
    assert (await corpus_of(*records)).nbytes > 50 * (1000 + 2 * 64 * 4)


@pytest.mark.parametrize(("chars", "in_loop"), [(INLINE_CHARS // 2, True), (INLINE_CHARS * 2, False)])
async def test_large_corpora_are_built_outside_the_event_loop(chars: int, in_loop: bool) -> None:
    class LoopWatcher(Analyzer):
        in_loop = True

        def terms(self, text: str) -> list[str]:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                self.in_loop = False
            return super().terms(text)

    analyzer = LoopWatcher()
    await corpus_of(memory("a", "x" * chars), analyzer=analyzer)
    assert analyzer.in_loop is in_loop

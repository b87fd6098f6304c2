"""One owner's memories made ready to be ranked."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.retrieval.lexical import LexicalIndex
from memrouter.memory.retrieval.provenance import Provenance, read_provenance
from memrouter.memory.retrieval.vector_space import VectorSpace
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import Matrix, MemoryRecord, MemoryType, Scope, Vector
from memrouter.stores.query import Change

INLINE_CHARS = 4000
"""Texts up to this many characters in all are analysed in the event loop: about 1 ms."""

_CORPUS_BYTES = 4000  # the object, its key and the headers of its arrays, rounded up
_RECORD_BYTES = 1000  # a record's object, its short strings, its vector's header and its numbers, rounded up
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Memories with their vectors and their word index. Never changed once built; any thread may read it.

    Attributes:
        records: Newest first (``created_at``, then ``id``, both descending), so that a stable sort settles ties.
        terms: Index terms of each record.
        analyzer: What turned the contents into terms; a question must be analysed alike.
        matrix: Vector of each record, shape (n, dimension).
        space: The vectors with their mean taken out.
        index: Word index over the records.
        provenance: Who said each record, when and beside what.
        expiry: When each record stops being visible, in milliseconds; 0 for one that was replaced.
        generation: The owner's generation that the records stand for.
        nbytes: Estimate of the memory that all of it takes.
    """

    records: tuple[MemoryRecord, ...]
    terms: tuple[tuple[str, ...], ...]
    analyzer: Analyzer
    matrix: Matrix
    space: VectorSpace
    index: LexicalIndex
    provenance: Provenance
    expiry: NDArray[np.int64]
    generation: int
    nbytes: int

    def visible(self, now: int) -> NDArray[np.bool_]:
        """Return for each record whether retrieval may show it at ``now`` (milliseconds)."""
        return self.expiry > now

    def vector_scores(self, vector: Vector) -> NDArray[np.float64]:
        """Return (1 + cosine) / 2 of each record, 0 to 1, in steps of a millionth so that equal vectors tie."""
        if not self.records:
            return np.zeros(0)
        # Not a BLAS product: its threads take longer to wake than the sum takes, and rows would not sum alike.
        cosines: NDArray[np.float64] = np.einsum("ij,j->i", self.matrix, vector).astype(np.float64)
        return ((1 + cosines) / 2).clip(0.0, 1.0).round(6)


async def build_corpus(
    records: Sequence[MemoryRecord], *, analyzer: Analyzer, generation: int, previous: Corpus | None = None
) -> Corpus:
    """Return a corpus of ``records``, built in a thread where that takes long.

    Args:
        records: Of one owner, in any order.
        analyzer: Turns their contents into terms, or finds the one that suits their language.
        generation: The owner's generation when they were read.
        previous: An earlier corpus; the terms of records whose content is as before are taken from it.
    """
    known = _known_terms(previous)
    new_chars = sum(len(record.content) for record in records if record.content not in known)
    # Indexing terms that are known already costs about an eighth of analysing and indexing new ones.
    work = new_chars + sum(len(record.content) for record in records) // 8
    if work <= INLINE_CHARS:
        return _build(records, analyzer, generation, previous)
    return await asyncio.to_thread(_build, records, analyzer, generation, previous)


async def follow(
    corpus: Corpus,
    changes: Sequence[Change],
    *,
    analyzer: Analyzer,
    generation: int,
    scope: Scope,
    types: frozenset[MemoryType],
) -> Corpus:
    """Return what reading the owner anew would give, made from a corpus and all changes since.

    Args:
        corpus: Of ``scope`` and ``types``.
        changes: Oldest first.
        analyzer: As for ``build_corpus``.
        generation: The one that the last change led to.
        scope: Whose memories.
        types: Kinds of memory.
    """
    records = {record.id: record for record in corpus.records}
    for change in changes:
        for memory_id in change.ids:
            records.pop(memory_id, None)
        records |= {record.id: record for record in change.put if _is_kept(record, scope, types)}
    return await build_corpus(list(records.values()), analyzer=analyzer, generation=generation, previous=corpus)


def _is_kept(record: MemoryRecord, scope: Scope, types: frozenset[MemoryType]) -> bool:
    shown = record.superseded_by is None and record.quarantine is None
    return shown and record.type in types and scope.covers(record)


def _known_terms(previous: Corpus | None) -> dict[str, tuple[str, ...]]:
    if previous is None:
        return {}
    return {record.content: terms for record, terms in zip(previous.records, previous.terms, strict=True)}


def _build(
    records: Sequence[MemoryRecord], analyzer: Analyzer, generation: int, previous: Corpus | None = None
) -> Corpus:
    ordered = tuple(sorted(records, key=lambda record: (record.created_at, record.id), reverse=True))
    suited = analyzer.suited_to([record.content for record in ordered])
    same = previous is not None and previous.analyzer.language == suited.language
    terms = _terms(ordered, suited, _known_terms(previous) if same else {})
    matrix: Matrix = np.stack([record.embedding for record in ordered]) if ordered else np.zeros((0, 0), np.float32)
    index = LexicalIndex(terms)
    provenance = read_provenance(ordered, terms, suited)
    space = VectorSpace(matrix, provenance.neighbours)
    return Corpus(
        records=ordered,
        terms=terms,
        analyzer=suited,
        matrix=matrix,
        space=space,
        index=index,
        provenance=provenance,
        expiry=np.fromiter(map(_expiry, ordered), dtype=np.int64, count=len(ordered)),
        generation=generation,
        nbytes=_CORPUS_BYTES
        + sum(map(_size, ordered, terms))
        + 2 * matrix.nbytes
        + index.nbytes
        + provenance.nbytes
        + space.nbytes,
    )


def _terms(
    records: Sequence[MemoryRecord], analyzer: Analyzer, known: dict[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    shared: dict[str, str] = {}  # one string object a term, however many records hold it

    def analyse(content: str) -> tuple[str, ...]:
        return tuple([shared.setdefault(term, term) for term in analyzer.terms(content)])

    return tuple(known[record.content] if record.content in known else analyse(record.content) for record in records)


def _size(record: MemoryRecord, terms: tuple[str, ...]) -> int:
    return _RECORD_BYTES + sys.getsizeof(record.content) + sys.getsizeof(terms)


def _expiry(record: MemoryRecord) -> int:
    if record.superseded_by is not None:
        return 0
    return _NEVER if record.expires_at is None else min(record.expires_at, _NEVER)

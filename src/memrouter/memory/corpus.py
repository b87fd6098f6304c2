"""One owner's memories made ready to be ranked."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.lexical import LexicalIndex
from memrouter.memory.words import Analyzer
from memrouter.models.memory import Matrix, MemoryRecord, Vector

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
        matrix: Vector of each record, shape (n, dimension).
        index: Word index over the records.
        expiry: When each record stops being visible, in milliseconds; 0 for one that was replaced.
        turns: Number of the turn that each record belongs to, 0 to n - 1. Records of one conversation, source and
            turn share it.
        neighbours: Shape (n, 2): numbers of the turn before and of the turn after each record's own, -1 for none.
        generation: The owner's generation that the records stand for.
        nbytes: Estimate of the memory that all of it takes.
    """

    records: tuple[MemoryRecord, ...]
    terms: tuple[tuple[str, ...], ...]
    matrix: Matrix
    index: LexicalIndex
    expiry: NDArray[np.int64]
    turns: NDArray[np.int64]
    neighbours: NDArray[np.int64]
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
        analyzer: Turns their contents into terms.
        generation: The owner's generation when they were read.
        previous: An earlier corpus; the terms of records whose content is as before are taken from it.
    """
    known = _known_terms(previous)
    new_chars = sum(len(record.content) for record in records if record.content not in known)
    # Indexing terms that are known already costs about an eighth of analysing and indexing new ones.
    work = new_chars + sum(len(record.content) for record in records) // 8
    if work <= INLINE_CHARS:
        return _build(records, analyzer, generation, known)
    return await asyncio.to_thread(_build, records, analyzer, generation, known)


def _known_terms(previous: Corpus | None) -> dict[str, tuple[str, ...]]:
    if previous is None:
        return {}
    return {record.content: terms for record, terms in zip(previous.records, previous.terms, strict=True)}


def _build(
    records: Sequence[MemoryRecord], analyzer: Analyzer, generation: int, known: dict[str, tuple[str, ...]]
) -> Corpus:
    ordered = tuple(sorted(records, key=lambda record: (record.created_at, record.id), reverse=True))
    terms = _terms(ordered, analyzer, known)
    matrix: Matrix = np.stack([record.embedding for record in ordered]) if ordered else np.zeros((0, 0), np.float32)
    index = LexicalIndex(terms)
    turns, neighbours = _turns(ordered)
    return Corpus(
        records=ordered,
        terms=terms,
        matrix=matrix,
        index=index,
        expiry=np.fromiter(map(_expiry, ordered), dtype=np.int64, count=len(ordered)),
        turns=turns,
        neighbours=neighbours,
        generation=generation,
        nbytes=_CORPUS_BYTES + sum(map(_size, ordered, terms)) + 2 * matrix.nbytes + index.nbytes,
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


def _turns(records: Sequence[MemoryRecord]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each record's turn, and the turns beside it; a turn goes by the position of its first record."""
    numbers: dict[tuple[str, str, int], int] = {}
    turns = [
        position
        if record.conversation_id is None or record.turn_index is None
        else numbers.setdefault((record.conversation_id, record.source, record.turn_index), position)
        for position, record in enumerate(records)
    ]
    beside = {
        number: (numbers.get((conversation, source, turn - 1), -1), numbers.get((conversation, source, turn + 1), -1))
        for (conversation, source, turn), number in numbers.items()
    }
    neighbours = [beside.get(turn, (-1, -1)) for turn in turns]
    return np.asarray(turns, dtype=np.int64), np.asarray(neighbours, dtype=np.int64).reshape(-1, 2)

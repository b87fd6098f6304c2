"""One owner's memories made ready to be ranked."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.retrieval.growing import GrowingMatrix
from memrouter.memory.retrieval.lexical import LexicalIndex
from memrouter.memory.retrieval.postings import Postings
from memrouter.memory.retrieval.provenance import Provenance, read_provenance
from memrouter.memory.retrieval.vector_space import VectorSpace
from memrouter.memory.retrieval.words import Analyzer, Sample
from memrouter.models.memory import Matrix, MemoryRecord, MemoryType, Scope, Vector
from memrouter.stores.query import Change

INLINE_CHARS = 15_000
"""Texts up to this many characters in all are analysed in the event loop: about 1 ms."""
CHARS_OF_RECORD = 4
"""What a record costs that newer ones come before, in characters of a new one."""

_CORPUS_BYTES = 4000  # the object, its key and the headers of its arrays, rounded up
_RECORD_BYTES = 1000  # a record's object, its short strings, its vector's header and its numbers, rounded up
_NEVER = np.iinfo(np.int64).max
_ID = attrgetter("id")
_CONTENT = attrgetter("content")
_AGE = attrgetter("created_at", "id")


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Memories with their vectors and their word index. Never changed once built; any thread may read it.

    Attributes:
        records: Newest first (``created_at``, then ``id``, both descending), so that a stable sort settles ties.
        terms: Index terms of each record.
        analyzer: What turned the contents into terms; a question must be analysed alike.
        sample: What it was chosen by.
        vectors: Vector of each record.
        space: The vectors with their mean taken out.
        index: Word index over the records.
        provenance: Who said each record, when and beside what.
        expiry: When each record stops being visible, in milliseconds; 0 for one that was replaced.
        generation: The owner's generation that the records stand for.
        record_bytes: What the records and their terms take, estimated.
        nbytes: Estimate of the memory that all of it takes.
        first_expiry: The least of ``expiry``.
    """

    records: tuple[MemoryRecord, ...]
    terms: tuple[tuple[str, ...], ...]
    analyzer: Analyzer
    sample: Sample
    vectors: GrowingMatrix
    space: VectorSpace
    index: LexicalIndex
    provenance: Provenance
    expiry: NDArray[np.int64]
    generation: int
    record_bytes: int
    nbytes: int = field(init=False)
    first_expiry: int = field(init=False)

    def __post_init__(self) -> None:
        """Add up what it takes, and find what ends first."""
        parts = (self.vectors, self.index, self.provenance, self.space)
        nbytes = _CORPUS_BYTES + self.record_bytes + self.matrix.nbytes + sum([part.nbytes for part in parts])
        object.__setattr__(self, "nbytes", nbytes)
        object.__setattr__(self, "first_expiry", int(np.minimum.reduce(self.expiry, initial=_NEVER)))

    @property
    def matrix(self) -> Matrix:
        """Return the vector of each record, shape (n, dimension)."""
        return self.vectors.rows

    def visible(self, now: int) -> NDArray[np.bool_] | None:
        """Return for each record whether retrieval may show it at ``now`` (milliseconds); None where all may be."""
        return None if self.first_expiry > now else self.expiry > now

    def vector_scores(self, vector: Vector) -> NDArray[np.float64]:
        """Return (1 + cosine) / 2 of each record, 0 to 1, in steps of a millionth so that equal vectors tie."""
        if not self.records:
            return np.zeros(0)
        # Row by row, not as one BLAS product: its threads take long to wake, and equal rows would not sum alike.
        cosines = np.vecdot(self.matrix, vector).astype(np.float64)
        scores: NDArray[np.float64] = np.minimum(np.maximum((1 + cosines) / 2, 0.0), 1.0).round(6)
        return scores


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
    return await _made(_building(records, analyzer, generation, previous))


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
    return await _made(_following(corpus, changes, analyzer, generation, scope, types))


def follow_at_once(
    corpus: Corpus,
    changes: Sequence[Change],
    *,
    analyzer: Analyzer,
    generation: int,
    scope: Scope,
    types: frozenset[MemoryType],
) -> Corpus | None:
    """Return what ``follow`` returns; None where that takes long."""
    work = _following(corpus, changes, analyzer, generation, scope, types)
    return work.do() if work.chars <= INLINE_CHARS else None


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """How a corpus is made.

    Attributes:
        chars: What that costs, in characters to analyse.
        do: Makes it.
    """

    chars: int
    do: Callable[[], Corpus]


async def _made(work: _Work) -> Corpus:
    return work.do() if work.chars <= INLINE_CHARS else await asyncio.to_thread(work.do)


def _building(records: Sequence[MemoryRecord], analyzer: Analyzer, generation: int, previous: Corpus | None) -> _Work:
    known = _known_terms(previous)
    # Where terms are known already, it takes about half as long as where they have to be found.
    chars = sum([len(record.content) // (2 if record.content in known else 1) for record in records])
    return _Work(chars, partial(_build, records, analyzer, generation, previous))


def _following(
    corpus: Corpus,
    changes: Sequence[Change],
    analyzer: Analyzer,
    generation: int,
    scope: Scope,
    types: frozenset[MemoryType],
) -> _Work:
    put: dict[str, MemoryRecord] = {}
    touched: set[str] = set()
    for change in changes:
        touched |= (ids := change.ids)
        for memory_id in ids:
            put.pop(memory_id, None)
        put |= {record.id: record for record in change.put if _is_kept(record, scope, types)}
    held, fresh = corpus.records, sorted(put.values(), key=_AGE, reverse=True)
    leaves_others = touched.isdisjoint(map(_ID, held))
    if leaves_others and not fresh:
        return _Work(0, partial(replace, corpus, generation=generation))
    if leaves_others and len(fresh) <= len(held) and _AGE(fresh[-1]) > _AGE(held[0]):
        records = (*fresh, *held)
        suited, sample = analyzer.sampled(map(_CONTENT, fresh), corpus.sample)
        if suited is corpus.analyzer:
            chars = sum(map(len, map(_CONTENT, fresh))) + CHARS_OF_RECORD * len(records)
            return _Work(chars, partial(_preceded, corpus, records, sample, generation))
    left = [record for record in held if record.id not in touched]
    return _building([*fresh, *left], analyzer, generation, corpus)


def _preceded(corpus: Corpus, records: tuple[MemoryRecord, ...], sample: Sample, generation: int) -> Corpus:
    """Return the corpus of ``records``, of which the last ones are those of ``corpus``, all others newer."""
    new = len(records) - len(corpus.records)
    fresh = records[:new]
    added = [tuple(corpus.analyzer.terms(record.content)) for record in fresh]
    terms = (*added, *corpus.terms)
    vectors = corpus.vectors.preceded(_matrix(fresh))
    provenance = read_provenance(records, terms, corpus.analyzer, previous=corpus.provenance)
    return Corpus(
        records=records,
        terms=terms,
        analyzer=corpus.analyzer,
        sample=sample,
        vectors=vectors,
        space=VectorSpace(vectors.rows, provenance.neighbours, previous=corpus.space),
        index=corpus.index.preceded(terms, new),
        provenance=provenance,
        expiry=np.concatenate(([_expiry(record) for record in fresh], corpus.expiry)),
        generation=generation,
        record_bytes=corpus.record_bytes + _bytes_of(fresh, added),
    )


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
    ordered = tuple(sorted(records, key=_AGE, reverse=True))
    suited, sample = analyzer.sampled(map(_CONTENT, ordered))
    same = previous is not None and previous.analyzer.language == suited.language
    terms = _terms(ordered, suited, _known_terms(previous) if same else {})
    matrix = _matrix(ordered)
    provenance = read_provenance(ordered, terms, suited)
    return Corpus(
        records=ordered,
        terms=terms,
        analyzer=suited,
        sample=sample,
        vectors=GrowingMatrix(matrix),
        space=VectorSpace(matrix, provenance.neighbours),
        index=LexicalIndex(Postings.of(terms)),
        provenance=provenance,
        expiry=np.asarray([_expiry(record) for record in ordered], dtype=np.int64),
        generation=generation,
        record_bytes=_bytes_of(ordered, terms),
    )


def _matrix(records: Sequence[MemoryRecord]) -> Matrix:
    if not records:
        return np.zeros((0, 0), np.float32)
    return np.concatenate([record.embedding for record in records]).reshape(len(records), -1)


def _terms(
    records: Sequence[MemoryRecord], analyzer: Analyzer, known: dict[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    return tuple([known.get(text) or tuple(analyzer.terms(text)) for text in map(_CONTENT, records)])


def _bytes_of(records: Sequence[MemoryRecord], terms: Iterable[tuple[str, ...]]) -> int:
    return _RECORD_BYTES * len(records) + sum(map(sys.getsizeof, chain(map(_CONTENT, records), terms)))


def _expiry(record: MemoryRecord) -> int:
    if record.superseded_by is not None:
        return 0
    return _NEVER if record.expires_at is None else min(record.expires_at, _NEVER)

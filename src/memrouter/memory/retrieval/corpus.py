"""One owner's memories made ready to be ranked."""

import asyncio
import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.retrieval.lexical import LexicalIndex
from memrouter.memory.retrieval.postings import Postings
from memrouter.memory.retrieval.provenance import Provenance, read_provenance
from memrouter.memory.retrieval.rows import merged
from memrouter.memory.retrieval.vector_space import VectorSpace
from memrouter.memory.retrieval.words import Analyzer, Samples
from memrouter.models.memory import Matrix, MemoryRecord, MemoryType, Scope, Vector
from memrouter.stores.query import Change

INLINE_CHARS = 10_000
"""Texts up to this many characters in all are analysed in the event loop: about 1 ms."""
CHARS_OF_RECORD = 4
"""What a record costs that was indexed before, in characters of a new one."""

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
        samples: What it was chosen by.
        matrix: Vector of each record, shape (n, dimension).
        space: The vectors with their mean taken out.
        index: Word index over the records.
        provenance: Who said each record, when and beside what.
        expiry: When each record stops being visible, in milliseconds; 0 for one that was replaced.
        generation: The owner's generation that the records stand for.
        sizes: Bytes of each record and its terms, estimated.
        nbytes: Estimate of the memory that all of it takes.
        first_expiry: The least of ``expiry``.
    """

    records: tuple[MemoryRecord, ...]
    terms: tuple[tuple[str, ...], ...]
    analyzer: Analyzer
    samples: Samples
    matrix: Matrix
    space: VectorSpace
    index: LexicalIndex
    provenance: Provenance
    expiry: NDArray[np.int64]
    generation: int
    sizes: NDArray[np.int64]
    nbytes: int = field(init=False)
    first_expiry: int = field(init=False)

    def __post_init__(self) -> None:
        """Add up what it takes, and find what ends first."""
        parts = (self.index, self.provenance, self.space)
        nbytes = _CORPUS_BYTES + int(self.sizes.sum()) + 2 * self.matrix.nbytes + sum(part.nbytes for part in parts)
        object.__setattr__(self, "nbytes", nbytes)
        object.__setattr__(self, "first_expiry", int(self.expiry.min(initial=_NEVER)))

    def visible(self, now: int) -> NDArray[np.bool_] | None:
        """Return for each record whether retrieval may show it at ``now`` (milliseconds); None where all may be."""
        return None if self.first_expiry > now else self.expiry > now

    def vector_scores(self, vector: Vector) -> NDArray[np.float64]:
        """Return (1 + cosine) / 2 of each record, 0 to 1, in steps of a millionth so that equal vectors tie."""
        if not self.records:
            return np.zeros(0)
        # Not a BLAS product: its threads take longer to wake than the sum takes, and rows would not sum alike.
        cosines = np.einsum("ij,j->i", self.matrix, vector).astype(np.float64)
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
    known = _known_terms(previous)
    # Indexing terms that are known already costs about a quarter of analysing and indexing new ones.
    work = sum(len(record.content) // (4 if record.content in known else 1) for record in records)
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
    plan = _planned(corpus, changes, analyzer, scope, types)
    if plan.anew:
        return await build_corpus(plan.records, analyzer=analyzer, generation=generation, previous=corpus)
    if plan.is_quick:
        return _changed(corpus, plan, generation)
    return await asyncio.to_thread(_changed, corpus, plan, generation)


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
    plan = _planned(corpus, changes, analyzer, scope, types)
    return _changed(corpus, plan, generation) if plan.is_quick and not plan.anew else None


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """How a corpus is to follow changes.

    Attributes:
        records: Those of the corpus then.
        rows: For each of them its row now, -1 for a new one.
        samples: What its analyzer is chosen by.
        anew: Whether it is to be built anew, since the analyzer is another one or most is new.
        is_quick: Whether working the changes in may be done in the event loop.
    """

    records: Sequence[MemoryRecord]
    rows: Sequence[int]
    samples: Samples
    anew: bool
    is_quick: bool


def _planned(
    corpus: Corpus, changes: Sequence[Change], analyzer: Analyzer, scope: Scope, types: frozenset[MemoryType]
) -> _Plan:
    put: dict[str, MemoryRecord] = {}
    touched: set[str] = set()
    for change in changes:
        touched |= change.ids
        for memory_id in change.ids:
            put.pop(memory_id, None)
        put |= {record.id: record for record in change.put if _is_kept(record, scope, types)}
    records, rows = _placed(corpus.records, touched, put.values())
    suited, samples = analyzer.sampled([record.content for record in records], corpus.samples)
    anew = not corpus.records or suited is not corpus.analyzer or len(put) > len(records) // 2
    work = sum(len(record.content) for record in put.values()) + CHARS_OF_RECORD * len(records)
    return _Plan(records, rows, samples, anew=anew, is_quick=work <= INLINE_CHARS)


def _placed(
    held: Sequence[MemoryRecord], touched: AbstractSet[str], put: Iterable[MemoryRecord]
) -> tuple[list[MemoryRecord], list[int]]:
    """Return those of ``held`` that were not touched, with ``put`` among them, and each one's row in it, -1 for put."""
    rows = [row for row, record in enumerate(held) if record.id not in touched]
    records = [held[row] for row in rows]
    for record in put:
        place = _place(records, _age(record))
        records.insert(place, record)
        rows.insert(place, -1)
    return records, rows


def _place(records: Sequence[MemoryRecord], age: tuple[int, str]) -> int:
    """Return where a record of this age belongs among records that are newest first."""
    return bisect_left(records, True, key=lambda other: _age(other) < age)


def _changed(corpus: Corpus, plan: _Plan, generation: int) -> Corpus:
    """Return the corpus of a plan's records, of which those with a row stand in ``corpus``."""
    records, rows = plan.records, plan.rows
    added = {place: tuple(corpus.analyzer.terms(records[place].content)) for place, row in enumerate(rows) if row < 0}
    fresh = [records[place] for place in added]
    places = np.asarray(rows, dtype=np.int64)
    terms = tuple([added[place] if row < 0 else corpus.terms[row] for place, row in enumerate(rows)])
    matrix = corpus.matrix.take(places, axis=0)
    for place, record in zip(added, fresh, strict=True):
        matrix[place] = record.embedding
    provenance = read_provenance(records, terms, corpus.analyzer, previous=corpus.provenance, rows=places)
    return Corpus(
        records=tuple(records),
        terms=terms,
        analyzer=corpus.analyzer,
        samples=plan.samples,
        matrix=matrix,
        space=VectorSpace(matrix, provenance.neighbours, previous=corpus.space, rows=places),
        index=corpus.index.changed(places, added),
        provenance=provenance,
        expiry=merged(corpus.expiry, places, _numbers(map(_expiry, fresh))),
        generation=generation,
        sizes=merged(corpus.sizes, places, _sizes(fresh, list(added.values()))),
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
    ordered = tuple(sorted(records, key=_age, reverse=True))
    suited, samples = analyzer.sampled([record.content for record in ordered], {})
    same = previous is not None and previous.analyzer.language == suited.language
    terms = _terms(ordered, suited, _known_terms(previous) if same else {})
    matrix = _matrix(ordered)
    provenance = read_provenance(ordered, terms, suited)
    return Corpus(
        records=ordered,
        terms=terms,
        analyzer=suited,
        samples=samples,
        matrix=matrix,
        space=VectorSpace(matrix, provenance.neighbours),
        index=LexicalIndex(Postings.of(terms)),
        provenance=provenance,
        expiry=_numbers(map(_expiry, ordered)),
        generation=generation,
        sizes=_sizes(ordered, terms),
    )


def _matrix(records: Sequence[MemoryRecord]) -> Matrix:
    if not records:
        return np.zeros((0, 0), np.float32)
    return np.concatenate([record.embedding for record in records]).reshape(len(records), -1)


def _terms(
    records: Sequence[MemoryRecord], analyzer: Analyzer, known: dict[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    contents = [record.content for record in records]
    return tuple([known[text] if text in known else tuple(analyzer.terms(text)) for text in contents])


def _age(record: MemoryRecord) -> tuple[int, str]:
    return record.created_at, record.id


def _numbers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)


def _sizes(records: Sequence[MemoryRecord], terms: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
    contents = _numbers(map(sys.getsizeof, [record.content for record in records]))
    sizes: NDArray[np.int64] = contents + _numbers(map(sys.getsizeof, terms)) + _RECORD_BYTES
    return sizes


def _expiry(record: MemoryRecord) -> int:
    if record.superseded_by is not None:
        return 0
    return _NEVER if record.expires_at is None else min(record.expires_at, _NEVER)

"""Who said each memory of a corpus, when, and beside what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count

import numpy as np
import regex
from numpy.typing import NDArray

from memrouter.memory.retrieval.rows import Number, merged, places_of
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, Source

FULL_LENGTH = 30
"""Number of terms from which a longer text counts no more for its length."""

_SPEAKER = regex.compile(r"\s*+(\p{L}[\p{L}\p{M}'. -]{1,39}+):\s")
_CENTURIES = ("19", "20")
_YEAR_CHARS = 4
_NAME_BYTES = 200


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where the records of a corpus come from, row by row.

    Attributes:
        turns: Row of the first record of the turn that each record belongs to: its own unless records of one
            conversation, source and turn share it.
        neighbours: Shape (n, 2): rows of the first record of the turn before and of the turn after; -1 for none.
        conversations: Number of each record's conversation, counted from 0; -1 for none.
        numbers: The same by the names of the conversations.
        by_conversation: Rows with a conversation, one conversation after the other.
        starts: Where each conversation begins in ``by_conversation``.
        speakers: Number of each record's speaker; -1 for none.
        names: Number of each speaker by name (first index term of ``Name:`` at the start) or role.
        times: ``created_at`` of each record.
        lengths: ln(1 + number of terms), up to FULL_LENGTH terms.
        timed: Whether each record names a time; known for English.
    """

    turns: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    conversations: NDArray[np.int64]
    numbers: Mapping[str, int]
    by_conversation: NDArray[np.intp]
    starts: NDArray[np.intp]
    speakers: NDArray[np.int64]
    names: Mapping[str, int]
    times: NDArray[np.int64]
    lengths: NDArray[np.float64]
    timed: NDArray[np.bool_]

    @cached_property
    def shares_turns(self) -> bool:
        """Return whether several records belong to one turn."""
        return bool((self.turns != np.arange(self.turns.size)).any())

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes."""
        numbers = (self.turns, self.neighbours, self.conversations, self.speakers, self.times)
        places = (self.by_conversation, self.starts)
        arrays = (*numbers, *places, self.lengths, self.timed)
        return sum(array.nbytes for array in arrays) + _NAME_BYTES * (len(self.names) + len(self.numbers))


def read_provenance(
    records: Sequence[MemoryRecord],
    terms: Sequence[Sequence[str]],
    analyzer: Analyzer,
    *,
    previous: Provenance | None = None,
    rows: NDArray[np.int64] | None = None,
) -> Provenance:
    """Return where ``records`` come from.

    Args:
        records: In the order of the corpus.
        terms: Index terms of each.
        analyzer: That of the corpus.
        previous: That of other records, at least one, from which what is known is taken.
        rows: For each record its row in ``previous``; -1 for a new one.
    """
    if previous is None or rows is None:
        new, names = list(range(len(records))), {}
    else:
        new, names = np.flatnonzero(rows < 0).tolist(), dict(previous.names)
    fresh, fresh_terms = [records[row] for row in new], [terms[row] for row in new]

    def column(name: str, values: "NDArray[Number]") -> "NDArray[Number]":  # strings cost nothing at each call
        return values if previous is None or rows is None else merged(getattr(previous, name), rows, values)

    counts = np.fromiter(map(len, fresh_terms), dtype=np.int64, count=len(fresh))
    timed = _timed(fresh_terms, analyzer)
    speakers = column("speakers", _numbered(_speakers(fresh, analyzer), names))
    placed = _placed(records, previous, rows)
    grouped = placed.conversations.argsort(kind="stable")[np.count_nonzero(placed.conversations < 0) :]
    present = frozenset(speakers.tolist())
    return Provenance(
        turns=placed.turns,
        neighbours=placed.neighbours,
        conversations=placed.conversations,
        numbers=placed.numbers,
        by_conversation=grouped,
        starts=placed.conversations.take(grouped).searchsorted(np.arange(len(placed.numbers))),
        speakers=speakers,
        names={name: number for name, number in names.items() if number in present},
        times=column("times", np.fromiter((record.created_at for record in fresh), np.int64, len(fresh))),
        lengths=column("lengths", np.log1p(np.minimum(counts, FULL_LENGTH))),
        timed=column("timed", np.fromiter((not timed.isdisjoint(each) for each in fresh_terms), np.bool_, len(fresh))),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """The columns of ``Provenance`` that tell conversations and turns."""

    conversations: NDArray[np.int64]
    numbers: Mapping[str, int]
    turns: NDArray[np.int64]
    neighbours: NDArray[np.int64]


def _placed(records: Sequence[MemoryRecord], previous: Provenance | None, rows: NDArray[np.int64] | None) -> _Placed:
    """Return the conversation of each record, its turn, and the turns beside it."""
    size = len(records)
    if previous is None or rows is None or len(previous.turns) > np.count_nonzero(rows >= 0):
        numbers: dict[str, int] = {}
        conversations = _numbered([record.conversation_id for record in records], numbers)
        placed = _Placed(conversations, numbers, np.arange(size), np.full((size, 2), -1, dtype=np.int64))
        _read_turns(records, placed, np.flatnonzero(conversations >= 0).tolist())
        return placed
    # Nothing has gone: but for the places, only conversations that something came to are other than they were.
    fresh, numbers = (rows < 0).nonzero()[0], dict(previous.numbers)
    told = _numbered([records[row].conversation_id for row in fresh.tolist()], numbers)
    conversations = merged(previous.conversations, rows, told)
    places = places_of(rows, len(previous.turns) + 1)  # the last: -1, none beside
    turns = merged(places.take(previous.turns), rows, fresh)
    neighbours = places.take(previous.neighbours).take(rows, axis=0)
    neighbours[fresh] = -1
    placed = _Placed(conversations, numbers, turns, neighbours)
    touched = frozenset(told.tolist()) - {-1}
    if touched:
        _read_turns(records, placed, [row for row, talk in enumerate(conversations.tolist()) if talk in touched])
    return placed


def _read_turns(records: Sequence[MemoryRecord], placed: _Placed, rows: Sequence[int]) -> None:
    """Find the turns of all records of some conversations; a turn goes by the position of its first record."""
    talks = placed.conversations.take(rows).tolist()
    firsts: dict[tuple[int, Source, int], int] = {}
    told: list[tuple[int, int, Source, int]] = []
    for row, talk in zip(rows, talks, strict=True):
        record = records[row]
        if record.turn_index is not None:
            told.append((row, talk, record.source, record.turn_index))
            firsts.setdefault((talk, record.source, record.turn_index), row)
    if told:
        places = [row for row, *_ in told]
        placed.turns[places] = [firsts[talk, source, index] for _, talk, source, index in told]
        placed.neighbours[places] = [
            (firsts.get((talk, source, index - 1), -1), firsts.get((talk, source, index + 1), -1))
            for _, talk, source, index in told
        ]


def _numbered(names: Sequence[str | None], numbers: dict[str, int]) -> NDArray[np.int64]:
    """Return the number of each name, -1 for None; names that have none in ``numbers`` get the next one there."""
    ahead = count(max(numbers.values(), default=-1) + 1)
    found = [
        -1 if name is None else numbers[name] if name in numbers else numbers.setdefault(name, next(ahead))
        for name in names
    ]
    return np.asarray(found, dtype=np.int64)


def _timed(terms: Sequence[Sequence[str]], analyzer: Analyzer) -> frozenset[str]:
    """Return those of the terms that name a time."""
    vocabulary = set(chain.from_iterable(terms))
    years = [term for term in vocabulary if term[:2] in _CENTURIES and len(term) == _YEAR_CHARS and _is_number(term)]
    return analyzer.time_terms.intersection(vocabulary).union(years)


def _is_number(term: str) -> bool:
    return term.isascii() and term.isdecimal()


def _speakers(records: Sequence[MemoryRecord], analyzer: Analyzer) -> list[str | None]:
    known: dict[str, str | None] = {}
    found = []
    for record in records:
        match = _SPEAKER.match(record.content) if ":" in record.content else None
        if match is None:
            found.append(record.role)
            continue
        name = match.group(1)
        if name not in known:
            known[name] = next(iter(analyzer.terms(name)), None)
        found.append(known[name])
    return found

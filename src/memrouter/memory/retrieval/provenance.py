"""Who said each memory of a corpus, when, and beside what."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TypeVar

import numpy as np
import regex
from numpy.typing import NDArray

from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, Source

FULL_LENGTH = 30
"""Number of terms from which a longer text counts no more for its length."""

_SPEAKER = regex.compile(r"\s*+(\p{L}[\p{L}\p{M}'. -]{1,39}+):\s")
_CENTURIES = ("19", "20")
_YEAR_CHARS = 4
_NAME_BYTES = 200
_ROW_BYTES = 65  # of all numbers of a row
_SOURCES = tuple(Source)

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where the records of a corpus come from, row by row.

    Turns are named by places, which stay the same when records come before the others: place -1 is that behind the last
    row, for no turn, and the rows come before it, the last one at -2. They are indices of any array with a value a row,
    and one more for no turn.

    Attributes:
        turns: Place of the first record of the turn that each record belongs to: its own unless records of one
            conversation, source and turn share it.
        shares_turns: Whether several records belong to one turn.
        neighbours: Shape (n, 2): places of the first record of the turn before and of the turn after; -1 for none.
        conversations: Number of each record's conversation, counted from 0; -1 for none.
        numbers: The same by the names of the conversations.
        by_conversation: Rows with a conversation, one conversation after the other.
        starts: Where each conversation begins in ``by_conversation``.
        speakers: Number of each record's speaker; -1 for none.
        names: Number of each speaker by name (first index term of ``Name:`` at the start) or role.
        times: ``created_at`` of each record.
        lengths: ln(1 + number of terms), up to FULL_LENGTH terms.
        terms: Index terms of each record.
        time_terms: Those that name a time, but for years.
    """

    turns: NDArray[np.int64]
    shares_turns: bool
    neighbours: NDArray[np.int64]
    conversations: NDArray[np.int64]
    numbers: Mapping[str, int]
    by_conversation: NDArray[np.intp]
    starts: NDArray[np.intp]
    speakers: NDArray[np.int64]
    names: Mapping[str, int]
    times: NDArray[np.int64]
    lengths: NDArray[np.float64]
    terms: Sequence[Sequence[str]]
    time_terms: frozenset[str]

    @cached_property
    def timed(self) -> NDArray[np.bool_]:
        """Return whether each record names a time; known for English."""
        vocabulary = set(chain.from_iterable(self.terms))
        times = self.time_terms.intersection(vocabulary).union(filter(_is_year, vocabulary))
        return np.fromiter((not times.isdisjoint(each) for each in self.terms), np.bool_, len(self.terms))

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes."""
        return _ROW_BYTES * self.turns.size + _NAME_BYTES * (len(self.names) + len(self.numbers))


def read_provenance(
    records: Sequence[MemoryRecord],
    terms: Sequence[Sequence[str]],
    analyzer: Analyzer,
    *,
    previous: Provenance | None = None,
) -> Provenance:
    """Return where ``records`` come from.

    Args:
        records: In the order of the corpus.
        terms: Index terms of each.
        analyzer: That of the corpus.
        previous: That of the last ones of them, at least one; it is not read again.
    """
    size = len(records)
    new = size if previous is None else size - previous.turns.size
    fresh, counts = records[:new], np.fromiter(map(len, terms[:new]), dtype=np.int64, count=new)
    names, numbers = ({}, {}) if previous is None else (dict(previous.names), dict(previous.numbers))

    def column(name: str, values: "NDArray[Number]") -> "NDArray[Number]":  # strings cost nothing at each call
        return values if previous is None else np.concatenate((values, getattr(previous, name)))

    told = _numbered([record.conversation_id for record in fresh], numbers)
    conversations = column("conversations", told)
    turns, beside = column("turns", np.arange(-size - 1, new - size - 1)), np.full((2, size), -1)
    shares_turns = False
    if previous is None:
        rows = (conversations >= 0).nonzero()[0].tolist()
    else:
        beside[:, new:] = previous.neighbours.T
        talks = dict.fromkeys(told[told >= 0].tolist())
        rows = [row for talk in talks for row in (conversations == talk).nonzero()[0].tolist()]
        shares_turns = previous.shares_turns
    if len(rows) > 1:
        shares_turns |= _read_turns(records, conversations, rows, turns, beside)
    grouped = conversations.argsort(kind="stable")[np.count_nonzero(conversations < 0) :]
    return Provenance(
        turns=turns,
        shares_turns=shares_turns,
        neighbours=beside.T,
        conversations=conversations,
        numbers=numbers,
        by_conversation=grouped,
        starts=conversations.take(grouped).searchsorted(np.arange(len(numbers))),
        speakers=column("speakers", _numbered(_speakers(fresh, analyzer), names)),
        names=names,
        times=column("times", np.fromiter((record.created_at for record in fresh), np.int64, new)),
        lengths=column("lengths", np.log1p(np.minimum(counts, FULL_LENGTH))),
        terms=terms,
        time_terms=analyzer.time_terms,
    )


def _read_turns(
    records: Sequence[MemoryRecord],
    conversations: NDArray[np.int64],
    rows: Sequence[int],
    turns: NDArray[np.int64],
    beside: NDArray[np.int64],
) -> bool:
    """Note the turns of all records of some conversations, and those beside them; a turn goes by its first record.

    Returns:
        Whether several of the records belong to one turn.
    """
    strands: defaultdict[int, dict[int, int]] = defaultdict(dict)  # by conversation and source: places by turn
    told, mine, end = [], [], len(records) + 1
    for row, talk in zip(reversed(rows), reversed(conversations.take(rows).tolist()), strict=True):
        record = records[row]
        if record.turn_index is not None:
            strand = strands[talk * len(_SOURCES) + _SOURCES.index(record.source)]
            strand[record.turn_index] = row - end
            told.append(row)
            mine.append((strand, record.turn_index))
    turns[told] = [strand[index] for strand, index in mine]
    beside[0, told] = [strand.get(index - 1, -1) for strand, index in mine]
    beside[1, told] = [strand.get(index + 1, -1) for strand, index in mine]
    return sum(map(len, strands.values())) < len(told)


def _numbered(names: Iterable[str | None], numbers: dict[str, int]) -> NDArray[np.int64]:
    """Return the number of each name, -1 for None; names that have none in ``numbers`` get the next one there."""
    found = [-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names]
    return np.asarray(found, dtype=np.int64)


def _is_year(term: str) -> bool:
    return len(term) == _YEAR_CHARS and term[:2] in _CENTURIES and term.isascii() and term.isdecimal()


def _speakers(records: Iterable[MemoryRecord], analyzer: Analyzer) -> list[str | None]:
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

"""Who said each memory of a corpus, when, and beside what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import regex
from numpy.typing import NDArray

from memrouter.memory.retrieval.rows import Number, merged
from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord, Source

FULL_LENGTH = 30
"""Number of terms from which a longer text counts no more for its length."""

_SPEAKER = regex.compile(r"\s*+(\p{L}[\p{L}\p{M}'. -]{1,39}+):\s")
_TIME_WORDS = (
    "ago today tonight yesterday tomorrow last next week weekend month year day morning soon recently since "
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december"
)
_YEAR = regex.compile(r"(?:19|20)\d\d", regex.ASCII)
_YEAR_CHARS = 4
_SOURCES = {source: number for number, source in enumerate(Source)}


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """Where the records of a corpus come from, row by row.

    Attributes:
        turns: Row of the first record of the turn that each record belongs to: its own unless records of one
            conversation, source and turn share it.
        neighbours: Shape (n, 2): rows of the first record of the turn before and of the turn after; -1 for none.
        conversations: Number of each record's conversation, counted from 0; -1 for none.
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
    by_conversation: NDArray[np.intp]
    starts: NDArray[np.intp]
    speakers: NDArray[np.int64]
    names: Mapping[str, int]
    times: NDArray[np.int64]
    lengths: NDArray[np.float64]
    timed: NDArray[np.bool_]

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes."""
        numbers = (self.turns, self.neighbours, self.conversations, self.speakers, self.times)
        places = (self.by_conversation, self.starts)
        arrays = (*numbers, *places, self.lengths, self.timed)
        return sum(array.nbytes for array in arrays) + 200 * len(self.names)


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
        new, names = np.arange(len(records)), {}
    else:
        new, names = np.flatnonzero(rows < 0), dict(previous.names)
    fresh, fresh_terms = [records[row] for row in new.tolist()], [terms[row] for row in new.tolist()]

    def column(name: str, values: NDArray[Number]) -> NDArray[Number]:
        return values if previous is None or rows is None else merged(getattr(previous, name), rows, values)

    counts = np.fromiter(map(len, fresh_terms), dtype=np.int64, count=len(fresh))
    timed = _timed(fresh_terms, analyzer)
    speakers = column("speakers", _numbered(_speakers(fresh, analyzer), names))
    conversations = _numbered([record.conversation_id for record in records], {})
    turns, neighbours = _turns(records, conversations)
    grouped = np.argsort(conversations, kind="stable")[np.count_nonzero(conversations < 0) :]
    present = frozenset(np.unique(speakers).tolist())
    return Provenance(
        turns=turns,
        neighbours=neighbours,
        conversations=conversations,
        by_conversation=grouped,
        starts=np.searchsorted(conversations[grouped], np.arange(conversations.max(initial=-1) + 1)),
        speakers=speakers,
        names={name: number for name, number in names.items() if number in present},
        times=column("times", np.fromiter((record.created_at for record in fresh), np.int64, len(fresh))),
        lengths=column("lengths", np.log1p(np.minimum(counts, FULL_LENGTH))),
        timed=column("timed", np.fromiter((not timed.isdisjoint(each) for each in fresh_terms), np.bool_, len(fresh))),
    )


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
    vocabulary = frozenset[str]().union(*terms)
    years = (term for term in vocabulary if len(term) == _YEAR_CHARS and term.isdecimal() and _YEAR.fullmatch(term))
    return vocabulary.intersection(analyzer.terms(_TIME_WORDS)).union(years)


def _speakers(records: Sequence[MemoryRecord], analyzer: Analyzer) -> list[str | None]:
    known: dict[str, str | None] = {}
    found = []
    for record in records:
        match = _SPEAKER.match(record.content)
        if match is None:
            found.append(record.role)
            continue
        name = match.group(1)
        if name not in known:
            known[name] = next(iter(analyzer.terms(name)), None)
        found.append(known[name])
    return found


def _turns(
    records: Sequence[MemoryRecord], conversations: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each record's turn, and the turns beside it; a turn goes by the position of its first record."""
    turns, neighbours = np.arange(len(records)), np.full((len(records), 2), -1, dtype=np.int64)
    indexes = [record.turn_index for record in records]
    told = np.flatnonzero((conversations >= 0) & np.asarray([index is not None for index in indexes], dtype=np.bool_))
    if not told.size:
        return turns, neighbours
    number = np.asarray([indexes[row] for row in told.tolist()], dtype=np.int64)
    source = np.asarray([_SOURCES[records[row].source] for row in told.tolist()])
    talk = conversations[told] * len(_SOURCES) + source
    order = np.lexsort((number, talk))  # stable: of one turn, the first record comes first
    told, number, talk = told[order], number[order], talk[order]
    same_talk = talk[1:] == talk[:-1]
    begins = np.concatenate(([True], ~(same_talk & (number[1:] == number[:-1]))))
    each = np.cumsum(begins) - 1
    firsts, number, talk = told[begins], number[begins], talk[begins]
    turns[told] = firsts[each]
    follows = np.flatnonzero((talk[1:] == talk[:-1]) & (number[1:] - number[:-1] == 1))
    beside = np.full((firsts.size, 2), -1, dtype=np.int64)
    beside[follows + 1, 0] = firsts[follows]
    beside[follows, 1] = firsts[follows + 1]
    neighbours[told] = beside[each]
    return turns, neighbours

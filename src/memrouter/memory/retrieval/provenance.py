"""Who said each memory of a corpus, when, and beside what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from memrouter.memory.retrieval.words import Analyzer
from memrouter.models.memory import MemoryRecord

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


def read_provenance(records: Sequence[MemoryRecord], terms: Sequence[Sequence[str]], analyzer: Analyzer) -> Provenance:
    """Return where ``records`` come from.

    Args:
        records: In the order of the corpus.
        terms: Index terms of each.
        analyzer: That of the corpus.
    """
    turns, neighbours = _turns(records)
    numbers: dict[str, int] = {}
    told_in = [
        -1 if record.conversation_id is None else numbers.setdefault(record.conversation_id, len(numbers))
        for record in records
    ]
    conversations = np.asarray(told_in, dtype=np.int64)
    grouped = np.argsort(conversations, kind="stable")[np.count_nonzero(conversations < 0) :]
    names: dict[str, int] = {}
    speakers = [-1 if name is None else names.setdefault(name, len(names)) for name in _speakers(records, analyzer)]
    timed = _timed(terms, analyzer)
    counts = np.fromiter(map(len, terms), dtype=np.int64, count=len(terms))
    return Provenance(
        turns=turns,
        neighbours=neighbours,
        conversations=conversations,
        by_conversation=grouped,
        starts=np.searchsorted(conversations[grouped], np.arange(len(numbers))),
        speakers=np.asarray(speakers, dtype=np.int64),
        names=names,
        times=np.fromiter((record.created_at for record in records), dtype=np.int64, count=len(records)),
        lengths=np.log1p(np.minimum(counts, FULL_LENGTH)),
        timed=np.fromiter((not timed.isdisjoint(each) for each in terms), dtype=np.bool_, count=len(terms)),
    )


def _timed(terms: Sequence[Sequence[str]], analyzer: Analyzer) -> frozenset[str]:
    """Return those of the terms that name a time."""
    vocabulary = frozenset[str]().union(*terms)
    years = (term for term in vocabulary if len(term) == _YEAR_CHARS and _YEAR.fullmatch(term))
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

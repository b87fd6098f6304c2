"""Which term stands in which text, how often: the word statistics of a corpus."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.retrieval.rows import places_of

WORD_BYTES = 64
"""Memory that a term takes, most of them less."""


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Texts by term; never changed once made.

    Attributes:
        vocabulary: Number of each term that a text holds, from 0, in the order of the numbers.
        starts: Where the texts of each term begin in ``texts``; one more number says where the last ones end.
        texts: Places of texts, term after term, each once a term.
        counts: How often that text holds that term.
        lengths: Number of terms of each text, repeats included.
    """

    vocabulary: Mapping[str, int]
    starts: NDArray[np.int64]
    texts: NDArray[np.int32]
    counts: NDArray[np.int32]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]]) -> Self:
        """Return the statistics of texts, given as their terms."""
        size = max(1, len(texts))
        said = list(chain.from_iterable(texts))
        vocabulary = {term: number for number, term in enumerate(dict.fromkeys(said))}
        numbers = np.fromiter(map(vocabulary.__getitem__, said), dtype=np.int64, count=len(said))
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        spots = numbers * size + np.arange(len(texts)).repeat(lengths)
        spots.sort()
        first = np.flatnonzero(np.diff(spots, prepend=-1))
        counts = np.diff(first, append=spots.size)
        term_of, text_of = np.divmod(spots[first], size)
        frequency = np.bincount(term_of, minlength=len(vocabulary))
        return cls(vocabulary, _starts(frequency), text_of.astype(np.int32), counts.astype(np.int32), lengths)

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes, vocabulary included."""
        arrays = sum(array.nbytes for array in (self.starts, self.texts, self.counts, self.lengths))
        return arrays + sys.getsizeof(self.vocabulary) + WORD_BYTES * len(self.vocabulary)

    def changed(self, rows: NDArray[np.int64], added: Mapping[int, Sequence[str]]) -> Self:
        """Return what ``of`` gives for changed texts, but for the order of the terms' numbers; there is a text now.

        Args:
            rows: For each text then, its place now; -1 for a new one.
            added: Terms of the new ones by their place then.
        """
        left = self._left(rows)
        vocabulary = dict(left.vocabulary)
        found = sorted(
            (vocabulary.setdefault(term, len(vocabulary)), place, count)
            for place, terms in added.items()
            for term, count in Counter(terms).items()
        )
        numbers, places, counts = np.asarray(found, dtype=np.int64).reshape(-1, 3).T
        starts = np.empty(len(vocabulary) + 1, dtype=np.int64)
        starts[: left.starts.size], starts[left.starts.size :] = left.starts, left.starts[-1]
        spots = starts[1:].take(numbers) + np.arange(numbers.size)  # of each new one, at the end of its term's
        starts[1:] += np.bincount(numbers, minlength=len(vocabulary)).cumsum()
        old = np.ones(starts[-1], dtype=np.bool_)
        old[spots] = False
        left.lengths[list(added)] = [len(terms) for terms in added.values()]
        return type(self)(
            vocabulary,
            starts,
            _inserted(left.texts, old, places),
            _inserted(left.counts, old, counts),
            left.lengths,
        )

    def _left(self, rows: NDArray[np.int64]) -> Self:
        """Return the statistics without the texts that ``rows`` does not name, the others at their new places."""
        places = places_of(rows, self.lengths.size)
        texts = places.astype(np.int32).take(self.texts)
        counts, starts, vocabulary = self.counts, self.starts, self.vocabulary
        lengths = self.lengths.take(rows)
        if np.count_nonzero(rows >= 0) < self.lengths.size:
            stays = texts >= 0
            term_of = np.repeat(np.arange(len(vocabulary)), np.diff(starts))
            frequency = np.bincount(term_of[stays], minlength=len(vocabulary))
            alive = frequency > 0
            texts, counts, starts = texts[stays], counts[stays], _starts(frequency[alive])
            held = (term for term, lives in zip(vocabulary, alive.tolist(), strict=True) if lives)
            vocabulary = {term: number for number, term in enumerate(held)}
        return type(self)(vocabulary, starts, texts, counts, lengths)


def _starts(frequency: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(frequency)))


def _inserted(held: NDArray[np.int32], old: NDArray[np.bool_], new: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return what is held where ``old`` says so, and what is new elsewhere."""
    numbers = np.empty(old.size, dtype=np.int32)
    numbers[old] = held
    numbers[~old] = new
    return numbers

"""Which term stands in which text, how often: the word statistics of a corpus."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
        vocabulary: dict[str, int] = {}
        size = max(1, len(texts))
        numbers = [vocabulary.setdefault(term, len(vocabulary)) for terms in texts for term in terms]
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        spots = np.asarray(numbers, dtype=np.int64) * size + np.repeat(np.arange(len(texts)), lengths)
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
        frequency = np.zeros(len(vocabulary), dtype=np.int64)
        frequency[: len(left.vocabulary)] = np.diff(left.starts)
        ends = np.cumsum(frequency)[numbers]
        lengths = left.lengths
        lengths[list(added)] = [len(terms) for terms in added.values()]
        return type(self)(
            vocabulary,
            _starts(frequency + np.bincount(numbers, minlength=len(vocabulary))),
            np.insert(left.texts, ends, places),
            np.insert(left.counts, ends, counts),
            lengths,
        )

    def _left(self, rows: NDArray[np.int64]) -> Self:
        """Return the statistics without the texts that ``rows`` does not name, the others at their new places."""
        places = places_of(rows, self.lengths.size)
        texts = places[self.texts].astype(np.int32)
        counts, starts, vocabulary = self.counts, self.starts, self.vocabulary
        lengths = np.where(rows < 0, 0, self.lengths[rows])
        if (places < 0).any():
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

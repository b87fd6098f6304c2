"""Which term stands in which text, how often: the word statistics of a corpus."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Self

import numpy as np
from numpy.typing import NDArray

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
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        numbered: defaultdict[str, int] = defaultdict(count().__next__)
        said = map(numbered.__getitem__, chain.from_iterable(texts))
        spots = np.fromiter(said, dtype=np.int64, count=int(lengths.sum())) * size
        spots += np.arange(len(texts)).repeat(lengths)
        spots.sort()
        first = np.ones(spots.size + 1, dtype=np.bool_)  # of each term in each text, and where the last ends
        np.not_equal(spots[1:], spots[:-1], out=first[1:-1])
        begins = first.nonzero()[0]
        term_of, text_of = np.divmod(spots.take(begins[:-1]), size)
        starts = term_of.searchsorted(np.arange(len(numbered) + 1))
        return cls(
            dict(numbered), starts, text_of.astype(np.int32), (begins[1:] - begins[:-1]).astype(np.int32), lengths
        )

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes, vocabulary included."""
        arrays = sum(array.nbytes for array in (self.starts, self.texts, self.counts, self.lengths))
        return arrays + sys.getsizeof(self.vocabulary) + WORD_BYTES * len(self.vocabulary)

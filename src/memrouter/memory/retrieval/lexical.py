"""BM25 over the texts of one corpus, term by term, and as the share of a query's weight that each text holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from memrouter.memory.retrieval.postings import Postings
from memrouter.memory.retrieval.spelling import SPELLING_BYTES, Spelling

K1 = 1.2
"""How fast repeats of a term stop counting; the value of Robertson and Zaragoza (2009) and of Lucene."""
B = 0.75
"""How much the length of a text counts, 0 to 1; same sources."""
PRIOR_TEXTS = 10
"""Unseen texts assumed beside the corpus, so that words weigh sensibly for an owner of one or two memories."""

MAX_TERMS = 64
"""Most terms of a query that are known, and that are unknown, that count; of the known ones the rarest."""
MAX_SPELLINGS = 8
"""Most unknown terms of a query for which words of nearly their spelling are looked for."""
MAX_GONE = 2
"""How many times the words that there are may be looked among for spellings, those that have gone included."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """How much of each term of a query each text holds.

    Attributes:
        terms: The query's terms, as many as count.
        weights: Of the terms, shape (terms,): their idf; 0 and up.
        held: Shape (terms, texts + 1): min(1, bm25 / idf), 0 where the text lacks the term, and for no text, the last.
        frequency: Number of texts that hold each term as it is spelled.
    """

    terms: tuple[str, ...]
    weights: Values
    held: Values
    frequency: NDArray[np.int64]

    def shares(self) -> Values:
        """Return for each text the share of the query's weight that it holds, 0 to 1."""
        total = float(self.weights.sum())
        sums: Values = self.weights @ self.held[:, :-1]
        return (sums / total).clip(0.0, 1.0) if total > 0 else sums


class LexicalIndex:
    """An inverted index, built once, never changed; any thread may ask it.

    With n texts, df of them with term t, tf times in this one:

    - idf(t) = ln(1 + (n + p - df + 0.5) / (df + 0.5)), never negative, with p = PRIOR_TEXTS unseen texts without t:
      a few texts do not tell how common a word is, and a word that the only text holds is no sign of a common one;
    - bm25(t) = idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average length));
    - lexical score = sum over the query's terms of min(idf(t), bm25(t)) / sum over the query's terms of idf(t).

    The cap keeps a repeated term from standing in for a missing one, so the score is the share of the query's weight
    that the text holds: 1 for a text of at most average length that holds every term, less where terms are missing or
    drowned in a long text. Terms found nowhere count in the divisor.

    Args:
        postings: The statistics of the texts.
        spelling: Knows every word of them, and perhaps others; None where nobody has asked for one yet.
    """

    def __init__(self, postings: Postings, *, spelling: Spelling | None = None) -> None:
        self.postings = postings
        lengths = postings.lengths
        self._size = lengths.size
        self._norm = K1 * (1 - B + B * lengths / (float(lengths.mean()) if lengths.any() else 1.0))
        self._spelling = spelling  # made when it is first needed, which it is by few questions

    def changed(self, rows: NDArray[np.int64], added: Mapping[int, Sequence[str]]) -> "LexicalIndex":
        """Return the index of changed texts; see ``Postings.changed``."""
        postings, spelling = self.postings.changed(rows, added), self._spelling
        if spelling is not None and spelling.size <= MAX_GONE * len(postings.vocabulary):
            spelling.add(chain.from_iterable(added.values()))
            return LexicalIndex(postings, spelling=spelling)
        return LexicalIndex(postings)

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes, vocabulary included."""
        return self.postings.nbytes + self._norm.nbytes + SPELLING_BYTES * len(self.postings.vocabulary)

    def match(self, terms: Iterable[str], *, spelling: float = 0.0) -> Matches:
        """Return which texts hold which of ``terms``; repeats do not count.

        Args:
            terms: A query's.
            spelling: How much of a term that no text holds a text holds, 0 to 1, that has one of nearly its spelling.
        """
        chosen, spellings = self._chosen(dict.fromkeys(terms)), MAX_SPELLINGS
        vocabulary = self.postings.vocabulary
        held = np.zeros((len(chosen), self._size + 1))
        frequency = self._fill_all(held, chosen)
        for row, term in enumerate(chosen):
            if spelling > 0 and spellings > 0 and term not in vocabulary:
                spellings -= 1
                for near in self._near(term):
                    self._fill(held[row], near, spelling)
        return Matches(chosen, _idf(frequency, self._size), held, frequency)

    def scores(self, terms: Iterable[str]) -> Values:
        """Return the lexical score, 0 to 1, of every text in order; repeats in ``terms`` do not count."""
        return self.match(terms).shares()

    def _chosen(self, terms: Iterable[str]) -> tuple[str, ...]:
        """Return the terms that count, in their order."""
        distinct = list(terms)
        if len(distinct) <= MAX_TERMS:
            return tuple(distinct)
        known = sorted((term for term in distinct if term in self.postings.vocabulary), key=self._frequency)[:MAX_TERMS]
        unknown = [term for term in distinct if term not in self.postings.vocabulary][:MAX_TERMS]
        counting = {*known, *unknown}
        return tuple(term for term in distinct if term in counting)

    def _frequency(self, term: str) -> int:
        number = self.postings.vocabulary[term]
        return int(self.postings.starts[number + 1] - self.postings.starts[number])

    def _near(self, term: str) -> list[str]:
        if self._spelling is None:
            self._spelling = Spelling(self.postings.vocabulary)
        return [near for near in self._spelling.near(term) if near in self.postings.vocabulary]

    def _fill_all(self, held: Values, terms: Sequence[str]) -> NDArray[np.int64]:
        """Note for each term, a row, what the texts hold that hold it as it is spelled; return how many those are."""
        postings = self.postings
        numbers = np.asarray([postings.vocabulary.get(term, -1) for term in terms], dtype=np.int64)
        starts = postings.starts.take(numbers)
        frequency = np.where(numbers < 0, 0, postings.starts.take(numbers + 1) - starts)
        ends = frequency.cumsum()
        whole = int(ends[-1]) if ends.size else 0
        places = np.arange(whole) + (starts - ends + frequency).repeat(frequency)
        texts = postings.texts.take(places)
        rows = np.arange(0, held.size, self._size + 1).repeat(frequency)
        held.put(rows + texts, self._shares(texts, postings.counts.take(places)))
        return frequency

    def _fill(self, row: Values, term: str, share: float) -> None:
        postings = self.postings
        number = postings.vocabulary[term]
        places = slice(postings.starts[number], postings.starts[number + 1])
        texts = postings.texts[places]
        row[texts] = np.maximum(row[texts], self._shares(texts, postings.counts[places]) * share)

    def _shares(self, texts: NDArray[np.int32], counts: NDArray[np.int32]) -> Values:
        shares: Values = np.minimum(1.0, counts * (K1 + 1) / (counts + self._norm.take(texts)))
        return shares


def _idf(frequency: NDArray[np.number], size: int) -> Values:
    idf: Values = np.log1p((size + PRIOR_TEXTS - frequency + 0.5) / (frequency + 0.5))
    return idf

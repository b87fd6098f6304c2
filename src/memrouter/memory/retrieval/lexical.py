"""BM25 over the texts of one corpus, term by term, and as the share of a query's weight that each text holds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import msgspec
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
MAX_LATE = 16
"""Most texts that come before others without all statistics being made anew; a share of all where that is more."""
LATE_SHARE = 32
"""That share: one of so many."""
LATE_BYTES = 256
"""Memory that a term of the late texts takes, rounded up."""

Values = NDArray[np.float64]
Late: TypeAlias = Mapping[str, tuple[tuple[int, int], ...]]


class Matches(msgspec.Struct, frozen=True, eq=False):
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

    Texts may come before the others, a few at a time; until they are many, they are looked up beside ``postings``.

    Args:
        postings: The statistics of the texts, or of the last ones of them.
        spelling: Knows every word of the texts, and perhaps others; None where nobody has asked for one yet.
        late: Of each term the texts before those of ``postings`` that hold it: their numbers, the last one's 0, and how
            often they do.
        lengths: Number of terms of each text; None where ``postings`` stands for all.
    """

    def __init__(
        self,
        postings: Postings,
        *,
        spelling: Spelling | None = None,
        late: Late | None = None,
        lengths: NDArray[np.int64] | None = None,
    ) -> None:
        self.postings = postings
        self._late = late or {}
        self._lengths = lengths = postings.lengths if lengths is None else lengths
        self._size = lengths.size
        self._ahead = lengths.size - postings.lengths.size
        total = int(np.add.reduce(lengths))
        self._norm = K1 * (1 - B + B * lengths / (total / lengths.size if total else 1.0))
        self._spelling = spelling  # made when it is first needed, which it is by few questions

    def preceded(self, texts: Sequence[Sequence[str]], new: int) -> "LexicalIndex":
        """Return the index of ``texts``, given as their terms, of which all but the first ``new`` are those of this."""
        if self._spelling is not None:
            self._spelling.add(chain.from_iterable(texts[:new]))
        if self._ahead + new > max(MAX_LATE, len(texts) // LATE_SHARE):
            return LexicalIndex(Postings.of(texts), spelling=self._spelling)
        late = dict(self._late)
        for number, terms in enumerate(reversed(texts[:new]), start=self._ahead):
            for term, count in Counter(terms).items():
                late[term] = (*late.get(term, ()), (number, count))
        lengths = np.concatenate(([len(terms) for terms in texts[:new]], self._lengths))
        return LexicalIndex(self.postings, spelling=self._spelling, late=late, lengths=lengths)

    @property
    def nbytes(self) -> int:
        """Return an estimate of the memory it takes, vocabulary included."""
        words = SPELLING_BYTES * len(self.postings.vocabulary) + LATE_BYTES * len(self._late)
        return self.postings.nbytes + 2 * self._norm.nbytes + words

    def match(self, terms: Iterable[str], *, spelling: float = 0.0) -> Matches:
        """Return which texts hold which of ``terms``; repeats do not count.

        Args:
            terms: A query's.
            spelling: How much of a term that no text holds a text holds, 0 to 1, that has one of nearly its spelling.
        """
        chosen = self._chosen(dict.fromkeys(terms))
        held = np.zeros((len(chosen), self._size + 1))
        frequency = self._fill_all(held, chosen)
        if spelling > 0:
            for row in np.flatnonzero(frequency == 0)[:MAX_SPELLINGS].tolist():
                for near in self._near(chosen[row]):
                    found = np.zeros((1, self._size + 1))
                    self._fill_all(found, [near])
                    np.maximum(held[row], found[0] * spelling, out=held[row])
        return Matches(chosen, _idf(frequency, self._size), held, frequency)

    def scores(self, terms: Iterable[str]) -> Values:
        """Return the lexical score, 0 to 1, of every text in order; repeats in ``terms`` do not count."""
        return self.match(terms).shares()

    def _chosen(self, terms: Iterable[str]) -> tuple[str, ...]:
        """Return the terms that count, in their order."""
        distinct = list(terms)
        if len(distinct) <= MAX_TERMS:
            return tuple(distinct)
        known = sorted(filter(self._knows, distinct), key=self._frequency)[:MAX_TERMS]
        unknown = [term for term in distinct if not self._knows(term)][:MAX_TERMS]
        counting = {*known, *unknown}
        return tuple(term for term in distinct if term in counting)

    def _knows(self, term: str) -> bool:
        return term in self.postings.vocabulary or term in self._late

    def _frequency(self, term: str) -> int:
        number, starts = self.postings.vocabulary.get(term), self.postings.starts
        early = 0 if number is None else int(starts[number + 1] - starts[number])
        return early + len(self._late.get(term, ()))

    def _near(self, term: str) -> list[str]:
        if self._spelling is None:
            self._spelling = Spelling(chain(self.postings.vocabulary, self._late))
        return list(filter(self._knows, self._spelling.near(term)))

    def _fill_all(self, held: Values, terms: Sequence[str]) -> NDArray[np.int64]:
        """Note for each term, a row, what the texts hold that hold it as it is spelled; return how many those are."""
        postings = self.postings
        numbers = np.asarray([postings.vocabulary.get(term, -1) for term in terms], dtype=np.int64)
        starts = postings.starts.take(numbers)
        frequency = np.where(numbers < 0, 0, postings.starts.take(numbers + 1) - starts)
        ends = frequency.cumsum()
        whole = int(ends[-1]) if ends.size else 0
        places = np.arange(whole) + (starts - ends + frequency).repeat(frequency)
        texts = postings.texts.take(places) + self._ahead
        rows = np.arange(0, held.size, self._size + 1).repeat(frequency)
        held.put(rows + texts, self._shares(texts, postings.counts.take(places)))
        late = [
            (row, self._ahead - 1 - number, count)
            for row, term in enumerate(terms)
            for number, count in self._late.get(term, ())
        ]
        if late:
            rows, texts, counts = np.asarray(late).T
            held[rows, texts] = self._shares(texts, counts)
            frequency += np.bincount(rows, minlength=len(terms))
        return frequency

    def _shares(self, texts: NDArray[np.integer], counts: NDArray[np.integer]) -> Values:
        shares: Values = np.minimum(1.0, counts * (K1 + 1) / (counts + self._norm.take(texts)))
        return shares


def _idf(frequency: NDArray[np.number], size: int) -> Values:
    idf: Values = np.log1p((size + PRIOR_TEXTS - frequency + 0.5) / (frequency + 0.5))
    return idf

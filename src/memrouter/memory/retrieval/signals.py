"""What speaks for each memory of a corpus as the answer to a question."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memrouter.config.retrieval import SignalWeights
from memrouter.memory.retrieval.corpus import Corpus
from memrouter.memory.retrieval.lexical import Matches
from memrouter.memory.retrieval.provenance import Provenance
from memrouter.memory.retrieval.question import Question
from memrouter.models.memory import Vector

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Signals of every record of a corpus, row by row; those of invisible records mean nothing.

    Attributes:
        vector_scores: (1 + cosine) / 2.
        lexical_scores: Share of the question's weight in words that the memory holds, 0 to 1.
        coverage: The same for the memory together with the turn before it.
        strange_names: Share of the names in the question that no memory holds; 0 where it names nobody.
        by_weight: The signals that ``SignalWeights`` has a weight for, by that name.
    """

    vector_scores: Values
    lexical_scores: Values
    coverage: Values
    strange_names: float
    by_weight: Mapping[str, Values]

    def total(self, weights: SignalWeights) -> Values:
        """Return the weighted sum."""
        total = np.zeros_like(self.vector_scores)
        for name, values in self.by_weight.items():
            total += getattr(weights, name) * values
        return total

    def parts(self) -> Mapping[str, Values]:
        """Return every signal by name for an explanation, before its weight.

        ``vector`` and ``words`` are the two scores, ``coverage`` is what the other modes and the threshold count of
        the words, ``neighbour`` what the weight ``vector`` counts.
        """
        summands = dict(self.by_weight)
        blended = summands.pop("vector")
        scores = {"vector": self.vector_scores, "words": self.lexical_scores, "coverage": self.coverage}
        return {**scores, "neighbour": blended, **summands}


def read_signals(
    corpus: Corpus, vector: Vector, question: Question, visible: NDArray[np.bool_], *, spelling: float
) -> Signals:
    """Return what speaks for each memory; invisible ones lend nothing to others.

    Args:
        corpus: The memories.
        vector: The question's unit vector.
        question: The question.
        visible: Which memories may count.
        spelling: Share of an unknown word's worth that one of nearly its spelling has.
    """
    origin = corpus.provenance
    scores = corpus.vector_scores(vector)
    matches = corpus.index.match(question.terms, spelling=spelling)
    held = matches.held * visible
    passages = np.maximum(held, _before(held, origin))
    speakers = {origin.names[name]: name for name in question.people if name in origin.names}
    # A speaker's name says who said it, not what was said: it is a signal of its own.
    weights = np.where(np.isin(matches.terms, list(speakers.values())), 0.0, matches.weights)
    whole = float(matches.weights.sum()) or 1.0
    return Signals(
        vector_scores=scores,
        lexical_scores=(matches.weights @ held / whole).clip(0.0, 1.0),
        coverage=(matches.weights @ passages / whole).clip(0.0, 1.0),
        strange_names=_strange_names(question, matches),
        by_weight={
            "passage": weights @ passages,
            "conversation": _conversations(held, weights > 0, origin),
            "vector": corpus.space.cosines(vector, 2 * scores - 1, visible),
            "speaker": _spoken_by(speakers, origin),
            "length": origin.lengths,
            "date": _near(question, origin),
            "time": origin.timed.astype(np.float64) if question.asks_when else np.zeros(len(scores)),
        },
    )


def _before(held: Values, origin: Provenance) -> Values:
    """Return what the turn before each memory's holds."""
    before = origin.neighbours[:, 0]
    own = np.arange(before.size)
    if (origin.turns != own).any():  # several records of one turn: together they are the turn
        held = held.copy()
        np.maximum.at(held.T, origin.turns, held.T.copy())
    padded = np.concatenate((held, np.zeros((len(held), 1))), axis=1)  # the last column stands for row -1: no turn
    turned: Values = padded[:, before]
    return turned


def _conversations(held: Values, counts: NDArray[np.bool_], origin: Provenance) -> Values:
    """Return for each memory the worth of what its conversation holds, by what few other conversations hold."""
    size = origin.starts.size
    if size < 2:
        return np.zeros(origin.conversations.size)
    together = np.maximum.reduceat(held[:, origin.by_conversation], origin.starts, axis=1)
    spread = together.sum(axis=1)
    rarity = np.where(counts, np.log1p((size - spread + 0.5) / (spread + 0.5)), 0.0)
    worth = np.append(rarity @ together, 0.0)  # the last place stands for number -1: no conversation
    of_each: Values = worth[origin.conversations]
    return of_each


def _spoken_by(speakers: Mapping[int, str], origin: Provenance) -> Values:
    if len(speakers) != 1:  # nobody, or a question about several people
        return np.zeros(origin.speakers.size)
    spoken: Values = (origin.speakers == next(iter(speakers))).astype(np.float64)
    return spoken


def _near(question: Question, origin: Provenance) -> Values:
    near = np.zeros(origin.times.size)
    for period in question.periods:
        near = np.maximum(near, period.nearness(origin.times))
    return near


def _strange_names(question: Question, matches: Matches) -> float:
    strange = [
        count == 0 for term, count in zip(matches.terms, matches.frequency, strict=True) if term in question.names
    ]
    return sum(strange) / len(strange) if strange else 0.0

"""What speaks for each memory of a corpus as the answer to a question."""

from collections.abc import Mapping
from functools import reduce
from operator import iadd

import msgspec
import numpy as np
from numpy.typing import NDArray

from memrouter.config.retrieval import SignalWeights
from memrouter.memory.retrieval.corpus import Corpus
from memrouter.memory.retrieval.lexical import Matches
from memrouter.memory.retrieval.provenance import Provenance
from memrouter.memory.retrieval.question import Question
from memrouter.models.memory import Vector

Values = NDArray[np.float64]


class Signals(msgspec.Struct, frozen=True, eq=False):
    """Signals of every record of a corpus, row by row; those of invisible records mean nothing.

    Attributes:
        vector_scores: (1 + cosine) / 2.
        lexical_scores: Share of the question's weight in words that the memory holds, 0 to 1.
        coverage: The same for the memory together with the turn before it.
        strange_names: Share of the names in the question that no memory holds; 0 where it names nobody.
        nothing: What signals are that say nothing: 0 for each record.
        by_weight: The signals that ``SignalWeights`` has a weight for, by that name.
    """

    vector_scores: Values
    lexical_scores: Values
    coverage: Values
    strange_names: float
    nothing: Values
    by_weight: Mapping[str, Values]

    def total(self, weights: SignalWeights) -> Values:
        """Return the weighted sum."""
        telling = ((name, values) for name, values in self.by_weight.items() if values is not self.nothing)
        total: Values = reduce(iadd, [getattr(weights, name) * values for name, values in telling])
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
    corpus: Corpus, vector: Vector, question: Question, visible: NDArray[np.bool_] | None, *, spelling: float
) -> Signals:
    """Return what speaks for each memory; invisible ones lend nothing to others.

    Args:
        corpus: The memories.
        vector: The question's unit vector.
        question: The question.
        visible: Which memories may count; None where all of them may.
        spelling: Share of an unknown word's worth that one of nearly its spelling has.
    """
    origin = corpus.provenance
    scores = corpus.vector_scores(vector)
    nothing = np.zeros(scores.size)
    matches = corpus.index.match(question.terms, spelling=spelling)
    held = matches.held  # the last column stands for row -1: no turn
    if visible is not None:
        held[:, :-1] *= visible
    own = held[:, :-1]
    passages = np.maximum(own, _before(held, origin))
    speakers = {origin.names[name]: name for name in question.people if name in origin.names}
    # A speaker's name says who said it, not what was said: it is a signal of its own.
    names = set(speakers.values()).intersection(matches.terms)
    weights = np.where([term in names for term in matches.terms], 0.0, matches.weights) if names else matches.weights
    whole = float(np.add.reduce(matches.weights)) or 1.0
    covered = matches.weights @ passages
    return Signals(
        vector_scores=scores,
        lexical_scores=np.minimum(matches.weights @ own / whole, 1.0),
        coverage=np.minimum(covered / whole, 1.0),
        strange_names=_strange_names(question, matches),
        nothing=nothing,
        by_weight={
            "passage": weights @ passages if names else covered,
            "conversation": _conversations(own, weights, origin),
            "vector": corpus.space.cosines(vector, 2 * scores - 1, visible),
            "speaker": _spoken_by(speakers, origin) if len(speakers) == 1 else nothing,  # else nobody, or several
            "length": origin.lengths,
            "date": _near(question, origin) if question.periods else nothing,
            "time": origin.timed.astype(np.float64) if question.asks_when else nothing,
        },
    )


def _before(held: Values, origin: Provenance) -> Values:
    """Return what the turn before each memory's holds."""
    if origin.shares_turns:  # several records of one turn: together they are the turn
        held = held.copy()
        np.maximum.at(held.T, origin.turns, held[:, :-1].T.copy())
    turned: Values = held.take(origin.neighbours[:, 0], axis=1)
    return turned


def _conversations(held: Values, weights: Values, origin: Provenance) -> Values:
    """Return for each memory the worth of what its conversation holds, by what few other conversations hold."""
    size = origin.starts.size
    if size < 2:
        return np.zeros(origin.conversations.size)
    together = np.maximum.reduceat(held.take(origin.by_conversation, axis=1), origin.starts, axis=1)
    spread = np.add.reduce(together, axis=1)
    rarity = np.where(weights > 0, np.log1p((size - spread + 0.5) / (spread + 0.5)), 0.0)
    worth = np.zeros(size + 1)  # the last place stands for number -1: no conversation
    worth[:-1] = rarity @ together
    of_each: Values = worth.take(origin.conversations)
    return of_each


def _spoken_by(speakers: Mapping[int, str], origin: Provenance) -> Values:
    spoken: Values = (origin.speakers == next(iter(speakers))).astype(np.float64)
    return spoken


def _near(question: Question, origin: Provenance) -> Values:
    near = np.zeros(origin.times.size)
    for period in question.periods:
        near = np.maximum(near, period.nearness(origin.times))
    return near


def _strange_names(question: Question, matches: Matches) -> float:
    if not question.names:
        return 0.0
    strange = [
        count == 0 for term, count in zip(matches.terms, matches.frequency, strict=True) if term in question.names
    ]
    return sum(strange) / len(strange) if strange else 0.0

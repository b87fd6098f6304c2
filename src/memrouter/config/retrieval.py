"""``global.stores.memory.retrieval``: what counts when memories are ranked, and how much."""

from typing import Annotated

from pydantic import AfterValidator, Field

from memrouter.config.base import Section

AUTO = "auto"
LANGUAGES = (
    "arabic",
    "catalan",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "hindi",
    "hungarian",
    "indonesian",
    "italian",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "spanish",
    "swedish",
    "turkish",
)
"""Languages whose stop words and stems are known."""


def _known_language(value: str) -> str:
    if value not in (AUTO, *LANGUAGES):
        msg = f"one of {', '.join((AUTO, *LANGUAGES))}"
        raise ValueError(msg)
    return value


class SignalWeights(Section):
    """What each signal is worth in mode ``rerank``; the order comes from the sum. 0 turns a signal off.

    The sum is a log-odds: 1 more makes a memory e times as likely to be the one that answers, against the others of
    the same owner. The defaults were fitted on conversations that were not those they were tested on.
    """

    passage: float = Field(default=0.25, ge=0, le=100)
    """For each unit of rarity (natural logarithm) of the question's words that the memory holds together with the turn
    before it: a question and its answer share their words."""
    conversation: float = Field(default=0.5, ge=0, le=100)
    """The same, for the whole conversation against the owner's other conversations."""
    vector: float = Field(default=6.0, ge=0, le=100)
    """For each unit of cosine between question and memory, turns beside it blended in, the owner's mean removed."""
    speaker: float = Field(default=2.5, ge=0, le=100)
    """For a memory that the person said whom the question names."""
    length: float = Field(default=0.7, ge=0, le=100)
    """For each unit of the logarithm of the number of words, up to 30 words: short turns seldom hold a fact."""
    date: float = Field(default=3.0, ge=0, le=100)
    """For a memory of the time that the question names (``in May 2023``, ``yesterday``), less the farther from it."""
    time: float = Field(default=1.5, ge=0, le=100)
    """For a memory that names a time, where the question asks when."""
    spelling: float = Field(default=0.6, ge=0, le=1)
    """Share of an unknown word's worth that a word of nearly the same spelling has; a factor, not a summand."""


class RetrievalSettings(Section):
    """How memories are ranked."""

    language: Annotated[str, AfterValidator(_known_language)] = AUTO
    """Language of stop words and stems; ``auto`` takes the one that most of an owner's stop words belong to."""
    weights: SignalWeights = SignalWeights()
    vector_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the vector score in mode ``weighted``; the share of words that the passage holds has the rest."""
    rrf_k: float = Field(default=60, ge=1, le=10_000)
    """Constant of mode ``rrf``: how slowly a place loses worth."""

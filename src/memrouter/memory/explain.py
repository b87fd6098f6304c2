"""Why a memory was found."""

from dataclasses import dataclass

from memrouter.memory.hits import Hit
from memrouter.memory.words import Analyzer


@dataclass(frozen=True, slots=True)
class Explanation:
    """What led to a hit's score.

    Attributes:
        cosine: Of query and memory, -1 to 1; the vector score is (1 + cosine) / 2.
        margin: How far the score lies above the threshold.
        matched_terms: Index terms (stems) that query and memory share, in the order of the query.
    """

    cosine: float
    margin: float
    matched_terms: tuple[str, ...]


def explain(hit: Hit, query: str, *, threshold: float, analyzer: Analyzer) -> Explanation:
    """Return why ``hit`` was found for ``query``; CPU work in proportion to both texts."""
    held = frozenset(analyzer.terms(hit.record.content))
    return Explanation(
        cosine=2 * hit.vector_score - 1,
        margin=hit.score - threshold,
        matched_terms=tuple(term for term in dict.fromkeys(analyzer.terms(query)) if term in held),
    )

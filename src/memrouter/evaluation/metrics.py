"""How good one ranked answer is. Pure; every figure is 0 to 1."""

from collections.abc import Collection, Sequence


def recall_at(ranked: Sequence[str], wanted: Collection[str], k: int) -> float:
    """Return the share of ``wanted``, of which there is at least one, among the first ``k`` of ``ranked``."""
    first = frozenset(ranked[:k])
    return sum(one in first for one in wanted) / len(wanted)


def hit_at(ranked: Sequence[str], wanted: Collection[str], k: int) -> float:
    """Return 1 where any of ``wanted`` is among the first ``k`` of ``ranked``, else 0."""
    return float(not frozenset(wanted).isdisjoint(ranked[:k]))


def reciprocal_rank(ranked: Sequence[str], wanted: Collection[str]) -> float:
    """Return 1 / place of the first of ``ranked`` that is wanted, counted from 1; 0 where none is."""
    return next((1 / place for place, one in enumerate(ranked, start=1) if one in wanted), 0.0)

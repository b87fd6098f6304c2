"""Names that installed packages offer to the configuration."""

from importlib.metadata import entry_points
from typing import Final

REFLECTION_GROUP: Final = "memrouter.reflection"
"""Entry point group of reflection algorithms."""
REFLECTION_ALGORITHMS: Final = ("recency_semantic", "heuristic", "noop")
"""memrouter's own reflection algorithms; the last two are the Go router's names."""


def installed_names(group: str) -> frozenset[str]:
    """Return the names under an entry point group. Reads the metadata of installed packages, imports none of them."""
    return frozenset(entry_points(group=group).names)

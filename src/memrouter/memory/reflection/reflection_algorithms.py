"""Reflection algorithms by the names that the configuration uses."""

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Final, Protocol

from memrouter.config.extensions import REFLECTION_GROUP, installed_names
from memrouter.config.memory import ReflectionSettings
from memrouter.errors import ConfigError, ConfigProblem
from memrouter.memory.hits import Hit
from memrouter.memory.reflection.drops import Selection
from memrouter.memory.reflection.recency_semantic import recency_semantic


class ReflectionAlgorithm(Protocol):
    """Orders the memories that were found, and leaves out what should not be injected.

    It is called between the block patterns and the token budget, which hold whatever it does. One of memrouter's own
    may run in the event loop; any other runs in a thread, several at a time.
    """

    def __call__(self, hits: Sequence[Hit], settings: ReflectionSettings, *, now: int) -> Selection:
        """Return what became of the hits.

        Args:
            hits: Best first; must not be changed.
            settings: Those of the route.
            now: Milliseconds since the epoch.
        """
        ...


def unchanged(hits: Sequence[Hit], settings: ReflectionSettings, *, now: int) -> Selection:
    """Return all hits in their order."""
    del settings, now
    return Selection(tuple(hits))


BUILT_IN: Final[Mapping[str, ReflectionAlgorithm]] = {
    "recency_semantic": recency_semantic,
    "heuristic": recency_semantic,
    "noop": unchanged,
}
"""memrouter's own; ``heuristic`` and ``noop`` are the Go router's names."""


class ReflectionAlgorithms:
    """Finds an algorithm: first those given here, then memrouter's own, then installed packages' entry points.

    Args:
        own: Further algorithms by name. Give the names to ``load_settings`` too, which refuses unknown ones.
    """

    def __init__(self, own: Mapping[str, ReflectionAlgorithm] | None = None) -> None:
        self._known = {**BUILT_IN, **(own or {})}

    def find(self, name: str) -> ReflectionAlgorithm:
        """Return the algorithm of this name; may import the package that has it.

        Raises:
            ConfigError: There is none, or it cannot be loaded.
        """
        known = self._known.get(name)
        return self._load(name) if known is None else known

    def _load(self, name: str) -> ReflectionAlgorithm:
        point = next(iter(entry_points(group=REFLECTION_GROUP, name=name)), None)
        if point is None:
            names = sorted({*self._known, *installed_names(REFLECTION_GROUP)})
            raise ConfigError([_problem(name, "no algorithm of this name", " | ".join(names))])
        try:
            loaded: ReflectionAlgorithm = point.load()
        except Exception as error:  # importing somebody's package may raise anything
            found = f"{point.value}, which cannot be loaded ({type(error).__name__}: {error})"
            raise ConfigError([_problem(name, found, "an entry point that names a function")]) from error
        if not callable(loaded):
            raise ConfigError([_problem(name, f"{point.value}, which cannot be called", "a function")])
        return loaded


def _problem(name: str, found: str, allowed: str) -> ConfigProblem:
    return ConfigProblem(
        file="<configuration>",
        line=None,
        key=f"global.stores.memory.reflection.algorithm: {name[:64]}",
        found=found,
        allowed=allowed,
        hint=f"Install the package that has it under the entry point group {REFLECTION_GROUP}",
    )

"""Which memory settings hold for a request, and whether memory must keep out of it."""

from dataclasses import dataclass
from typing import Final

from memrouter.config.memory import MemoryPluginSettings, MemorySettings
from memrouter.config.routing import DecisionSettings, MemoryPlugin
from memrouter.memory.policy import MemoryPolicy, resolve_policy
from memrouter.memory.reflection.reflect import ReflectionFilter, Weigher
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms
from memrouter.models.turn import MemoryOutcome, MemoryStatus, Turn

OPT_OUT_HEADER: Final = "x-disable-router-memory"


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """A route's settings, and its filter between retrieval and injection."""

    policy: MemoryPolicy
    reflection: ReflectionFilter


class RoutePolicies:
    """The memory settings of every route.

    Args:
        settings: The global ones.
        decisions: The routes.
        default_threshold: The embedder's own threshold.
        algorithms: Reflection algorithms by name.
        weigher: Counts the tokens of memories.

    Raises:
        ConfigError: A reflection algorithm does not exist.
    """

    def __init__(
        self,
        settings: MemorySettings,
        decisions: tuple[DecisionSettings, ...],
        *,
        default_threshold: float,
        algorithms: ReflectionAlgorithms,
        weigher: Weigher,
    ) -> None:
        def resolved(route: MemoryPluginSettings | None) -> RoutePolicy:
            policy = resolve_policy(settings, route, default_threshold=default_threshold)
            algorithm = algorithms.find(policy.reflection.algorithm)
            return RoutePolicy(policy, ReflectionFilter(policy.reflection, algorithm=algorithm, weigher=weigher))

        self._general = resolved(None)
        self._routes = {name: resolved(route) for name, route in _own_settings(decisions).items()}
        self._disabled_routes = frozenset(settings.disabled_routes)
        self._disabled_models = frozenset(settings.disabled_models)

    @property
    def general(self) -> RoutePolicy:
        """Return the settings of routes without a memory plugin."""
        return self._general

    def of(self, turn: Turn) -> RoutePolicy:
        """Return the settings that hold for a request."""
        return self._routes.get(turn.decision, self._general)

    def refusal(self, turn: Turn) -> MemoryOutcome | None:
        """Return why memory must keep out of a request, or None where it may take part."""
        if not self.of(turn).policy.enabled:
            return MemoryOutcome(MemoryStatus.DISABLED, "configuration")
        if turn.headers.get(OPT_OUT_HEADER, "").strip().lower() == "true":
            return MemoryOutcome(MemoryStatus.POLICY_BLOCKED, "opt_out")
        if self._disabled_routes & {turn.path, turn.decision}:
            return MemoryOutcome(MemoryStatus.POLICY_BLOCKED, "route")
        if self._disabled_models & {turn.request.model, turn.model.name}:
            return MemoryOutcome(MemoryStatus.POLICY_BLOCKED, "model")
        return None

    def recall_off(self, turn: Turn) -> MemoryOutcome | None:
        """Return why nothing is recalled for a request whose turn may be stored; None where recall is on."""
        return None if self.of(turn).policy.recalls else MemoryOutcome(MemoryStatus.POLICY_BLOCKED, "recall_off")


def any_enabled(settings: MemorySettings, decisions: tuple[DecisionSettings, ...]) -> bool:
    """Return whether memory takes part in any route."""
    routes = (None, *_own_settings(decisions).values())
    return any(resolve_policy(settings, route, default_threshold=0).enabled for route in routes)


def _own_settings(decisions: tuple[DecisionSettings, ...]) -> dict[str, MemoryPluginSettings]:
    own = {decision.name: decision.plugin(MemoryPlugin) for decision in decisions}
    return {name: plugin.configuration for name, plugin in own.items() if plugin is not None}

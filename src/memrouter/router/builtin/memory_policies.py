"""Which memory settings hold for a request, and whether memory must keep out of it."""

from dataclasses import dataclass
from typing import Final

from memrouter.config.memory import MemoryPluginSettings, MemorySettings
from memrouter.config.routing import DecisionSettings, MemoryPlugin
from memrouter.memory.policy import MemoryPolicy, resolve_policy
from memrouter.memory.reflect import BlockPatterns
from memrouter.models.turn import MemoryOutcome, MemoryStatus, Turn

OPT_OUT_HEADER: Final = "x-disable-router-memory"


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """A route's settings with its patterns compiled."""

    policy: MemoryPolicy
    patterns: BlockPatterns


class RoutePolicies:
    """The memory settings of every route.

    Args:
        settings: The global ones.
        decisions: The routes.
        default_threshold: The embedder's own threshold.

    Raises:
        ConfigError: A block pattern is no regular expression.
    """

    def __init__(
        self, settings: MemorySettings, decisions: tuple[DecisionSettings, ...], *, default_threshold: float
    ) -> None:
        own = {
            decision.name: plugin.configuration
            for decision in decisions
            for plugin in decision.plugins
            if isinstance(plugin, MemoryPlugin)
        }

        def compiled(route: MemoryPluginSettings | None) -> RoutePolicy:
            policy = resolve_policy(settings, route, default_threshold=default_threshold)
            return RoutePolicy(policy, BlockPatterns(policy.reflection.block_patterns))

        self._general = compiled(None)
        self._routes = {name: compiled(route) for name, route in own.items()}
        self._disabled_routes = frozenset(settings.disabled_routes)
        self._disabled_models = frozenset(settings.disabled_models)

    @property
    def any_enabled(self) -> bool:
        """Return whether memory takes part in any route."""
        return any(route.policy.enabled for route in (self._general, *self._routes.values()))

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

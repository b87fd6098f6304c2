"""Every route with the settings that hold in it, and where each of them comes from. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from memrouter.config.memory import MemoryPluginSettings, MemorySettings, ReflectionOverride
from memrouter.config.routing import DecisionSettings, MemoryPlugin, RuleNode
from memrouter.config.settings import Settings
from memrouter.memory.policy import MemoryPolicy, resolve_policy

Origin = Literal["route", "global", "embedder", "default"]
"""Where a setting comes from: the route's own plugin, ``global.stores.memory``, the embedder, or its default."""


@dataclass(frozen=True, slots=True)
class RouteSetting:
    """One memory setting of a route.

    Attributes:
        key: Its name in the route's memory plugin, or in ``global.stores.memory``.
        value: What holds.
        origin: Where it comes from.
    """

    key: str
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class RouteView:
    """One decision as requests find it.

    Attributes:
        name: Empty for requests that no decision matches.
        description: As configured.
        priority: None for requests that no decision matches.
        rules: When it matches, on one line.
        models: ``name`` or ``name (lora)``, with the share that each gets in percent.
        plugins: Their types, in the order of the file.
        memory: Whether memory takes part, and why not where it does not.
        settings: The memory settings that hold.
    """

    name: str
    description: str
    priority: int | None
    rules: str
    models: Sequence[tuple[str, float]]
    plugins: Sequence[str]
    memory: str
    settings: Sequence[RouteSetting]

    @property
    def own(self) -> int:
        """Return how many settings are the route's own."""
        return sum(setting.origin == "route" for setting in self.settings)


def route_table(settings: Settings, *, default_threshold: float) -> list[RouteView]:
    """Return the routes in the order in which they are tried, and last what holds where none matches.

    Args:
        settings: The configuration.
        default_threshold: The embedder's own threshold.
    """
    ordered = sorted(settings.routing.decisions, key=lambda decision: -decision.priority)
    views = [_route(decision, settings.memory, default_threshold) for decision in ordered]
    fallback = resolve_policy(settings.memory, None, default_threshold=default_threshold)
    found = _settings(settings.memory, None, fallback)
    default = settings.providers.defaults.default_model
    models = [(default or next((m.name for m in settings.providers.models if not m.role), ""), 100.0)]
    memory = _memory("", settings.memory, fallback)
    return [*views, RouteView("", "", None, "no decision matches", models, (), memory, found)]


def rule_text(rule: RuleNode) -> str:
    """Return a rule tree on one line, such as ``keyword private AND NOT (a OR b)``."""
    if rule.type:
        return f"{rule.type} {rule.name}"
    parts = [f"({rule_text(each)})" if len(each.conditions) > 1 else rule_text(each) for each in rule.conditions]
    if rule.operator == "NOT":
        return f"NOT {parts[0]}"
    if not parts:
        return "never" if rule.operator == "OR" else "always"
    return f" {rule.operator or 'AND'} ".join(parts)


def _route(decision: DecisionSettings, memory: MemorySettings, default_threshold: float) -> RouteView:
    plugin = decision.plugin(MemoryPlugin)
    own = None if plugin is None else plugin.configuration
    policy = resolve_policy(memory, own, default_threshold=default_threshold)
    weights = [ref.weight for ref in decision.modelRefs]
    whole = sum(weights)
    return RouteView(
        name=decision.name,
        description=decision.description,
        priority=decision.priority,
        rules=rule_text(decision.rules),
        models=[
            (
                f"{ref.model} ({ref.lora_name})" if ref.lora_name else ref.model,
                100 * ref.weight / whole if whole else 100 / len(weights),
            )
            for ref in decision.modelRefs
        ],
        plugins=[plugin.type for plugin in decision.plugins],
        memory=_memory(decision.name, memory, policy),
        settings=_settings(memory, own, policy),
    )


def _memory(name: str, memory: MemorySettings, policy: MemoryPolicy) -> str:
    if not policy.enabled:
        return "off: disabled by the configuration"
    if name and name in memory.disabled_routes:
        return "off: listed in disabled_routes"
    if not policy.recalls:
        return "stores, recalls nothing" if policy.auto_store else "off: neither recalls nor stores"
    return "recalls and stores" if policy.auto_store else "recalls, stores nothing"


def _settings(memory: MemorySettings, own: MemoryPluginSettings | None, policy: MemoryPolicy) -> list[RouteSetting]:
    route = own or MemoryPluginSettings()
    recall = policy.recall
    plain: list[tuple[str, object, str]] = [
        ("enabled", policy.enabled, "enabled"),
        ("auto_store", policy.auto_store, "auto_store"),
        ("recall", policy.recalls, "recall"),
        ("retrieval_limit", recall.limit, "default_retrieval_limit"),
        ("similarity_threshold", recall.threshold, "default_similarity_threshold"),
        ("hybrid_search", recall.hybrid, "hybrid_search"),
        ("hybrid_mode", recall.mode, "hybrid_mode"),
        ("adaptive_threshold", recall.adaptive, "adaptive_threshold"),
        ("store_tool_output", policy.store_tool_output, ""),
    ]
    found = [RouteSetting(key, value, _origin(getattr(route, key), memory, general)) for key, value, general in plain]
    return [*found, *_reflection(memory, route.reflection, policy), *_injection(memory, policy)]


def _origin(own: object, memory: MemorySettings, general: str) -> Origin:
    if own is not None:
        return "route"
    if general == "default_similarity_threshold" and memory.default_similarity_threshold is None:
        return "embedder"
    return "global" if general in memory.model_fields_set else "default"


def _reflection(memory: MemorySettings, own: ReflectionOverride | None, policy: MemoryPolicy) -> Iterator[RouteSetting]:
    for name in type(policy.reflection).model_fields:
        value = getattr(policy.reflection, name)
        if own is not None and getattr(own, name) is not None:
            origin: Origin = "route"
        else:
            origin = "global" if name in memory.reflection.model_fields_set else "default"
        yield RouteSetting(f"reflection.{name}", value, origin)


def _injection(memory: MemorySettings, policy: MemoryPolicy) -> Iterator[RouteSetting]:
    for name in ("position", "style"):
        origin: Origin = "global" if name in memory.injection.model_fields_set else "default"
        yield RouteSetting(f"injection.{name}", getattr(policy.injection, name), origin)

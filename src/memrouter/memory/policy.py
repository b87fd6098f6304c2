"""The memory settings of one route, resolved once at start from the global ones and the route's own."""

from dataclasses import dataclass, field
from typing import Literal

from memrouter.config.memory import MemoryPluginSettings, MemorySettings, ReflectionOverride, ReflectionSettings
from memrouter.config.retrieval import RetrievalSettings
from memrouter.models.memory import MemoryType
from memrouter.stores.query import ALL_TYPES

HybridMode = Literal["rerank", "weighted", "rrf"]


@dataclass(frozen=True, slots=True)
class RecallPolicy:
    """How memories are found.

    Attributes:
        limit: Most memories to return.
        threshold: Lowest ``score`` (0 to 1) of a relevant memory.
        hybrid: Whether words count beside vectors.
        mode: How both sides are fused.
        adaptive: Whether the largest gap between scores ends the result early.
        types: Kinds of memory to return.
        ranking: What counts, and how much; its language does not matter here.
    """

    limit: int
    threshold: float
    hybrid: bool = True
    mode: HybridMode = "rerank"
    adaptive: bool = True
    types: frozenset[MemoryType] = ALL_TYPES
    ranking: RetrievalSettings = field(default_factory=RetrievalSettings)


@dataclass(frozen=True, slots=True)
class InjectionPolicy:
    """How memories enter the prompt; see ``InjectionSettings``."""

    position: Literal["before_last_user", "after_system"] = "before_last_user"
    style: Literal["message", "merge_into_user"] = "message"


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """All memory settings of one route.

    Attributes:
        enabled: Whether memory takes part at all.
        auto_store: Whether finished turns are stored.
        recalls: Whether memories are retrieved and injected.
        store_tool_output: Whether tool results of finished turns are stored too.
        recall: How memories are found.
        reflection: The filter between retrieval and injection.
        injection: How they enter the prompt.
    """

    enabled: bool
    auto_store: bool
    recalls: bool
    store_tool_output: bool
    recall: RecallPolicy
    reflection: ReflectionSettings
    injection: InjectionPolicy


def resolve_policy(
    settings: MemorySettings, own: MemoryPluginSettings | None, *, default_threshold: float
) -> MemoryPolicy:
    """Return the settings of a route.

    Args:
        settings: The global ones.
        own: The route's own; None where it has no memory plugin.
        default_threshold: The embedder's own threshold, for where neither names one.
    """
    route = own or MemoryPluginSettings()
    configured = _first(route.similarity_threshold, settings.default_similarity_threshold)
    return MemoryPolicy(
        enabled=settings.enabled if route.enabled is None else route.enabled,
        auto_store=settings.auto_store if route.auto_store is None else route.auto_store,
        recalls=settings.recall if route.recall is None else route.recall,
        store_tool_output=bool(route.store_tool_output),
        recall=RecallPolicy(
            limit=route.retrieval_limit or settings.default_retrieval_limit,
            threshold=default_threshold if configured is None else configured,
            hybrid=settings.hybrid_search if route.hybrid_search is None else route.hybrid_search,
            mode=route.hybrid_mode or settings.hybrid_mode,
            adaptive=settings.adaptive_threshold if route.adaptive_threshold is None else route.adaptive_threshold,
            ranking=settings.retrieval,
        ),
        reflection=_reflection(settings.reflection, route.reflection),
        injection=InjectionPolicy(settings.injection.position, settings.injection.style),
    )


def _reflection(settings: ReflectionSettings, own: ReflectionOverride | None) -> ReflectionSettings:
    return settings if own is None else settings.model_copy(update=own.model_dump(exclude_none=True))


def _first(own: float | None, general: float | None) -> float | None:
    return general if own is None else own

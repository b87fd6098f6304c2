"""Steps of the router as spans."""

from collections.abc import Sequence

from memrouter.config.routing import DecisionSettings
from memrouter.models.turn import Reply, Turn
from memrouter.observability.tracing import Tracer
from memrouter.router.decision import DecisionEngine, Signals
from memrouter.router.plugins import Plugin


class TracedDecisions(DecisionEngine):
    """Decides as ``DecisionEngine`` does.

    Args:
        decisions: As there.
        tracer: Makes the spans.
    """

    def __init__(self, decisions: Sequence[DecisionSettings], tracer: Tracer) -> None:
        super().__init__(decisions)
        self._tracer = tracer

    async def decide(self, signals: Signals) -> DecisionSettings | None:
        """See ``DecisionEngine.decide``."""
        with self._tracer.span("decide") as span:
            decision = await super().decide(signals)
            span.set("memrouter.decision", decision.name if decision else "")
            return decision


class TracedMemory:
    """Satisfies ``Plugin``: the memory plugin, and how it took part.

    Args:
        inner: The memory plugin.
        tracer: Makes the spans.
    """

    def __init__(self, inner: Plugin, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    @property
    def name(self) -> str:
        """Return the plugin's name."""
        return self._inner.name

    async def before_upstream(self, turn: Turn) -> None:
        """See ``Plugin.before_upstream``."""
        with self._tracer.span("memory retrieve") as span:
            await self._inner.before_upstream(turn)
            if turn.memory is not None:
                span.set("memrouter.memory.status", turn.memory.status.value)
                span.set("memrouter.memory.reason", turn.memory.reason)
                span.set("memrouter.memory.count", turn.memory.count)

    async def after_response(self, turn: Turn, reply: Reply) -> None:
        """See ``Plugin.after_response``."""
        await self._inner.after_response(turn, reply)

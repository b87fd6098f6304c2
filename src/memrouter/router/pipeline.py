"""One chat request from end to end: signals, decision, model, plugins, upstream; then plugins again."""

import random
from collections.abc import Sequence

from memrouter.clock import Clock
from memrouter.config.routing import DecisionSettings
from memrouter.models.turn import Reply, Turn
from memrouter.observability.metrics import Metrics
from memrouter.router.decision import DecisionEngine
from memrouter.router.plugins import PluginChain
from memrouter.router.selection import ModelCatalog
from memrouter.router.signals.board import SignalBoard, SignalEvaluators
from memrouter.upstream.base import ChatUpstream, UpstreamReply, UpstreamRequest
from memrouter.upstream.headers import forwardable


class Pipeline:
    """The way of a request through the router.

    Args:
        signals: Evaluators of all configured signals.
        decisions: The configured decisions.
        catalog: The configured models.
        plugins: Steps around the upstream call.
        upstream: The model servers.
        metrics: Where upstream times are counted.
        clock: Tells the time.
        rng: Chooses among weighted models.
    """

    def __init__(
        self,
        *,
        signals: SignalEvaluators,
        decisions: DecisionEngine,
        catalog: ModelCatalog,
        plugins: PluginChain,
        upstream: ChatUpstream,
        metrics: Metrics,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._signals = signals
        self._decisions = decisions
        self._catalog = catalog
        self._plugins = plugins
        self._upstream = upstream
        self._metrics = metrics
        self._clock = clock
        self._rng = rng

    async def open(self, turn: Turn, *, max_silence: float) -> UpstreamReply:
        """Decide, let plugins change the request, send it, and return the answer as it begins.

        Args:
            turn: The request; afterwards it tells what was decided.
            max_silence: Seconds that the backend may stay silent.

        Raises:
            UnknownModel: The client named a model that is not configured.
            UpstreamError: No backend answered.
        """
        decision = await self._decisions.decide(SignalBoard(turn, self._signals))
        turn.decision = decision.name if decision else ""
        turn.model = self._catalog.choose(turn.request.model, decision, self._rng)
        turn.draft.set_model(turn.model.upstream_name)
        turn.upstream_headers = forwardable(turn.headers)
        await self._plugins.before_upstream(turn)
        return await self._send(turn, max_silence)

    async def preview(self, turn: Turn) -> tuple[DecisionSettings | None, Sequence[str]]:
        """Return the decision for a request, and ``kind:name`` of the signals that matched; nothing is sent."""
        board = SignalBoard(turn, self._signals)
        return await self._decisions.decide(board), board.matched_names()

    async def finish(self, turn: Turn, reply: Reply) -> None:
        """Show the plugins what came back, after the last byte was sent."""
        await self._plugins.after_response(turn, reply)

    async def _send(self, turn: Turn, max_silence: float) -> UpstreamReply:
        begun = self._clock.monotonic()
        request = UpstreamRequest(
            model=turn.model.name, body=turn.draft.render(), headers=turn.upstream_headers, timeout=max_silence
        )
        try:
            return await self._upstream.send(request)
        finally:
            turn.upstream_seconds = self._clock.monotonic() - begun

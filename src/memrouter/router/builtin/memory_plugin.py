"""The ``memory`` plugin: recall before the model answers, remember after it has.

The one place where store and embedder errors end: they are counted and noted, and the request goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from memrouter.clock import Clock
from memrouter.errors import EmbeddingError, StoreError
from memrouter.memory.hits import Hit, Recall
from memrouter.memory.injection.blocks import render_block, strip_blocks
from memrouter.memory.injection.inject import inject
from memrouter.memory.retrieval.explain import near_miss
from memrouter.memory.retrieval.rewrite import QueryRewriter
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.extract import extract
from memrouter.memory.storing.tool_output import tool_output
from memrouter.memory.storing.writer import FinishedTurn
from memrouter.memory.turns.conversation import PastTurn, conversation_id, in_history, turns
from memrouter.memory.turns.gate import worth_searching
from memrouter.memory.turns.harness import strip_harness
from memrouter.models.memory import Scope
from memrouter.models.turn import MemoryOutcome, MemoryStatus, Reply, Turn
from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import NOT_TRACED, Tracer
from memrouter.router.builtin.memory_policies import RoutePolicies

logger = logging.getLogger(__name__)

SESSION_HEADER: Final = "x-session-id"
INLINE_CHARS: Final = 20_000
"""Turns up to this size wait as they are until they are stored, and are extracted then, in the event loop: about 1 ms.
Of longer ones only what is to be remembered waits."""
CHARS_OF_MESSAGE: Final = 200
"""What a message counts beside its characters: kept in parts, an empty one takes ten times as much memory as in the
body."""


class MemoryRecall:
    """The plugin itself.

    Args:
        service: Recalls; None where no route has memory.
        policies: Settings by route.
        metrics: Counts retrievals and what came of turns.
        clock: Tells the time.
        max_seconds: Most time that retrieval may take from a request.
        rewriter: Rewrites queries, in a time of its own; None searches for them as they are.
        store: Takes what a finished turn left to remember; must not wait.
        count: Takes the memories that an answer was given; must not wait.
        arrived: Told of every request whose turn may be stored, which waits for it; None: nobody is.
        tracer: Makes the spans.
    """

    name = "memory"

    def __init__(
        self,
        *,
        service: MemoryService | None,
        policies: RoutePolicies,
        metrics: Metrics,
        clock: Clock,
        max_seconds: float,
        rewriter: QueryRewriter | None,
        store: Callable[[FinishedTurn], None],
        count: Callable[[Scope, Sequence[str]], None],
        arrived: Callable[[], Awaitable[None]] | None = None,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        self._service = service
        self._policies = policies
        self._metrics = metrics
        self._clock = clock
        self._max_seconds = max_seconds
        self._rewriter = rewriter
        self._store = store
        self._count = count
        self._arrived = arrived
        self._tracer = tracer

    async def before_upstream(self, turn: Turn) -> None:
        """Inject what is remembered, and note in ``turn.memory`` how memory took part."""
        turn.begun_at = self._clock.now_ms()  # before any wait: what is deleted from now on stays deleted
        turn.memory = self._policies.refusal(turn)
        if turn.memory is not None:
            return
        scope = turn.identity.scope
        if scope is not None and self._arrived is not None:
            await self._arrived()
        turn.memory = self._policies.recall_off(turn) or self._ignored(turn)
        if turn.memory is not None:
            return
        if scope is None:
            turn.memory = MemoryOutcome(MemoryStatus.MISSING, "no_identity")
            return
        begun = self._clock.monotonic()
        try:
            if not await self._recalls(scope):
                turn.memory = self._outcome(MemoryStatus.POLICY_BLOCKED, "user", begun)
                return
            history = turns(turn.request)
            query = await self._query(turn, history)
            hits = await self._recall(turn, scope, query, asked=len(history) - 1)
        except (StoreError, EmbeddingError, TimeoutError) as error:
            logger.warning("memory is unavailable; the request goes on without it: %s", str(error) or "too slow")
            turn.memory = self._outcome(MemoryStatus.UNAVAILABLE, type(error).__name__, begun)
            return
        except Exception:
            # Whatever is wrong with memory, the chat must be answered.
            logger.exception("memory failed unexpectedly; the request goes on without it")
            turn.memory = self._outcome(MemoryStatus.UNAVAILABLE, "unexpected", begun)
            return
        self._metrics.retrieval(seconds=self._clock.monotonic() - begun, results=len(hits))
        if not hits:
            turn.memory = self._outcome(MemoryStatus.MISSING, "no_results", begun)
            return
        with self._tracer.span("memory inject"):
            inject(turn.draft, render_block(hits, now=self._clock.now_ms()), self._policies.of(turn).policy.injection)
        turn.recalled_ids = tuple([hit.record.id for hit in hits])
        self._metrics.injected(len(hits))
        turn.memory = self._outcome(MemoryStatus.USED, "injected", begun, count=len(hits))

    async def after_response(self, turn: Turn, reply: Reply) -> None:
        """Note what was recalled, and queue the storing of what was said."""
        scope = turn.identity.scope
        if scope is None or self._service is None or self._policies.refusal(turn) is not None:
            return
        if turn.recalled_ids:
            self._count(scope, turn.recalled_ids)
        if not (self._policies.of(turn).policy.auto_store if turn.auto_store is None else turn.auto_store):
            return
        if not reply.complete:
            self._metrics.skipped("aborted")
            return
        self._store(await self.finished(turn, reply, scope))

    async def _recalls(self, scope: Scope) -> bool:
        """Return whether recall is on for a user."""
        if self._service is None:
            return True
        switches = self._service.switches.at_hand(scope.user_id)
        if switches is None:
            async with asyncio.timeout(self._max_seconds):
                switches = await self._service.switches.of(scope.user_id)
        return switches.recall

    async def _query(self, turn: Turn, history: Sequence[PastTurn]) -> str:
        """Return what to search for: the user's last message, or what the rewriter makes of it."""
        query = strip_blocks(strip_harness(turn.request.query))
        if self._rewriter is None or self._service is None:
            return query
        return await self._rewriter.rewrite(history[:-1], query)

    async def _recall(self, turn: Turn, scope: Scope, query: str, *, asked: int) -> tuple[Hit, ...]:
        """Return what to inject: found, not in the request's own history, and past the reflection filter.

        Args:
            turn: The request.
            scope: Whose memories.
            query: What to search for.
            asked: Number of the turn that is to be answered.
        """
        route = self._policies.of(turn)
        if self._service is None:
            return ()
        known = partial(in_history, conversation=_conversation(turn, scope), turn_index=asked) if asked else None
        explain = logger.isEnabledFor(logging.DEBUG)
        recall = None if explain else self._service.recall_at_once(scope, query, route.policy.recall, known=known)
        if recall is not None and route.reflection.is_quick(recall.hits):
            selection = route.reflection.apply(recall.hits, now=self._clock.now_ms())
        else:  # something has to be waited for, so that it may take too long
            async with asyncio.timeout(self._max_seconds):
                if recall is None:
                    policy = route.policy.recall
                    recall = await self._service.recall(scope, query, policy, known=known, explain=explain)
                selection = await route.reflection.select(recall.hits, now=self._clock.now_ms())
        if explain and not recall.hits:
            _log_near_miss(turn, recall, route.policy.recall.threshold)
        for dropped in selection.dropped:
            self._metrics.dropped(dropped.reason)
        return selection.kept

    async def finished(self, turn: Turn, reply: Reply, scope: Scope) -> FinishedTurn:
        """Return a finished turn as it is to be stored."""
        request, now, conversation = turn.request, turn.begun_at, _conversation(turn, scope)
        tools = self._policies.of(turn).policy.store_tool_output

        def extracted() -> Sequence[MemoryDraft]:
            drafts = extract(request, reply, conversation_id=conversation, now=now)
            return [*drafts, *tool_output(request, reply, conversation_id=conversation)] if tools else drafts

        finished = FinishedTurn(scope, extracted, begun_at=now, origin=self._tracer.here())
        if len(request.body) + len(reply.text) + CHARS_OF_MESSAGE * len(request.messages) <= INLINE_CHARS:
            return finished
        drafts = await asyncio.to_thread(extracted)
        return replace(finished, extracted=lambda: drafts)

    def _ignored(self, turn: Turn) -> MemoryOutcome | None:
        reason = worth_searching(turn.request)
        return None if reason is None else MemoryOutcome(MemoryStatus.IGNORED, reason)

    def _outcome(self, status: MemoryStatus, reason: str, begun: float, *, count: int = 0) -> MemoryOutcome:
        return MemoryOutcome(status, reason, count=count, seconds=self._clock.monotonic() - begun)


def _conversation(turn: Turn, scope: Scope) -> str:
    return conversation_id(turn.request, session=turn.headers.get(SESSION_HEADER) or turn.session, scope=scope)


def _log_near_miss(turn: Turn, recall: Recall, threshold: float) -> None:
    miss = near_miss(recall.trace, threshold)
    if miss is not None:
        logger.debug(
            "request %s: no memory reached the threshold; the nearest, %s, has %.3f of %.3f and fell short by %.3f",
            turn.request_id,
            miss.id,
            miss.score,
            miss.threshold,
            miss.short_by,
        )

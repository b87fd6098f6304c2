"""The ``memory`` plugin: recall before the model answers, remember after it has.

The one place where store and embedder errors end: they are counted and noted, and the request goes on.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from memrouter.clock import Clock
from memrouter.embeddings.tokens import TokenCounter
from memrouter.errors import EmbeddingError, StoreError
from memrouter.memory.blocks import render_block, strip_blocks
from memrouter.memory.conversation import conversation_id, in_history, turns
from memrouter.memory.drafts import MemoryDraft
from memrouter.memory.extract import extract
from memrouter.memory.gate import worth_searching
from memrouter.memory.hits import Hit
from memrouter.memory.inject import inject
from memrouter.memory.reflect import reflect
from memrouter.memory.service import MemoryService
from memrouter.memory.writer import FinishedTurn
from memrouter.models.memory import Scope
from memrouter.models.turn import MemoryOutcome, MemoryStatus, Reply, Turn
from memrouter.observability.metrics import Metrics
from memrouter.router.builtin.memory_policies import RoutePolicies

logger = logging.getLogger(__name__)

SESSION_HEADER: Final = "x-session-id"
ITEM_TOKENS: Final = 24
"""Tokens that the block puts around each memory: its date, type and line."""
INLINE_CHARS: Final = 20_000
"""Texts up to this size are filtered and extracted in the event loop: about 1 ms."""


class MemoryRecall:
    """The plugin itself.

    Args:
        service: Recalls; None where no route has memory.
        policies: Settings by route.
        tokens: Counts what is injected.
        metrics: Counts retrievals and what came of turns.
        clock: Tells the time.
        max_seconds: Most time that retrieval may take from a request.
        store: Takes what a finished turn left to remember; must not wait.
        count: Takes the memories that an answer was given; must not wait.
    """

    name = "memory"

    def __init__(
        self,
        *,
        service: MemoryService | None,
        policies: RoutePolicies,
        tokens: TokenCounter,
        metrics: Metrics,
        clock: Clock,
        max_seconds: float,
        store: Callable[[FinishedTurn], None],
        count: Callable[[Scope, Sequence[str]], None],
    ) -> None:
        self._service = service
        self._policies = policies
        self._tokens = tokens
        self._metrics = metrics
        self._clock = clock
        self._max_seconds = max_seconds
        self._store = store
        self._count = count

    async def before_upstream(self, turn: Turn) -> None:
        """Inject what is remembered, and note in ``turn.memory`` how memory took part."""
        turn.memory = self._policies.refusal(turn) or self._ignored(turn)
        if turn.memory is not None:
            return
        scope = turn.identity.scope
        if scope is None:
            turn.memory = MemoryOutcome(MemoryStatus.MISSING, "no_identity")
            return
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._max_seconds):
                hits = await self._recall(turn, scope)
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
        inject(turn.draft, render_block(hits, now=self._clock.now_ms()), self._policies.of(turn).policy.injection)
        turn.recalled_ids = tuple(hit.record.id for hit in hits)
        self._metrics.injected(len(hits))
        turn.memory = self._outcome(MemoryStatus.USED, "injected", begun, count=len(hits))

    async def after_response(self, turn: Turn, reply: Reply) -> None:
        """Note what was recalled, and queue the storing of what was said."""
        scope = turn.identity.scope
        if scope is None or self._service is None or self._policies.refusal(turn) is not None:
            return
        if turn.recalled_ids:
            self._count(scope, turn.recalled_ids)
        if not self._policies.of(turn).policy.auto_store:
            return
        if not reply.complete:
            self._metrics.skipped("aborted")
            return
        drafts = await self._extract(turn, reply, scope)
        if drafts:
            self._store(FinishedTurn(scope, tuple(drafts)))
        else:
            self._metrics.skipped("low_information")

    async def _recall(self, turn: Turn, scope: Scope) -> tuple[Hit, ...]:
        """Return what to inject: found, not in the request's own history, and past the reflection filter."""
        route = self._policies.of(turn)
        if self._service is None:
            return ()
        known = partial(in_history, conversation=_conversation(turn, scope), turn_index=len(turns(turn.request)) - 1)
        query = strip_blocks(turn.request.query)
        hits = (await self._service.recall(scope, query, route.policy.recall, known=known)).hits
        now = self._clock.now_ms()

        def reflected() -> tuple[Hit, ...]:
            return reflect(
                hits, route.policy.reflection, now=now, count_tokens=self._weight, patterns=route.patterns
            ).hits

        if route.policy.reflection.block_patterns or sum(len(hit.record.content) for hit in hits) > INLINE_CHARS:
            return await asyncio.to_thread(reflected)
        return reflected()

    async def _extract(self, turn: Turn, reply: Reply, scope: Scope) -> list[MemoryDraft]:
        conversation = _conversation(turn, scope)
        if len(turn.request.body) + len(reply.text) > INLINE_CHARS:
            return await asyncio.to_thread(extract, turn.request, reply, conversation_id=conversation)
        return extract(turn.request, reply, conversation_id=conversation)

    def _weight(self, content: str) -> int:
        return self._tokens.count(content) + ITEM_TOKENS

    def _ignored(self, turn: Turn) -> MemoryOutcome | None:
        reason = worth_searching(turn.request)
        return None if reason is None else MemoryOutcome(MemoryStatus.IGNORED, reason)

    def _outcome(self, status: MemoryStatus, reason: str, begun: float, *, count: int = 0) -> MemoryOutcome:
        return MemoryOutcome(status, reason, count=count, seconds=self._clock.monotonic() - begun)


def _conversation(turn: Turn, scope: Scope) -> str:
    return conversation_id(turn.request, session=turn.headers.get(SESSION_HEADER), scope=scope)

"""A message that leans on its conversation to a search text that stands on its own, by a small model."""

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from memrouter.clock import Clock
from memrouter.config.reranking import QueryRewriteSettings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.errors import MemrouterError, UpstreamTimeout
from memrouter.memory.helper_model import HelperModel
from memrouter.memory.retrieval.rewrite_prompt import rewrite_messages, search_text
from memrouter.memory.turns.conversation import PastTurn
from memrouter.models.turn import ModelChoice
from memrouter.stores.circuit import Circuit
from memrouter.upstream.base import ChatUpstream

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 5.0
"""Time for which a model that failed is not asked again."""


class RewriteObserver(Protocol):
    """Counts what came of rewriting."""

    def query_rewritten(self, *, outcome: str, seconds: float) -> None:
        """Note one query: ``rewritten``, ``unchanged``, ``unusable``, ``failed``, ``timeout`` or ``skipped``."""
        ...

    def rewrite_tokens(self, *, prompt: int, completion: int) -> None:
        """Count the tokens of one answer."""
        ...


class QueryRewriter:
    """Rewrites queries; whatever happens, there is a query to search for.

    Args:
        upstream: The model servers.
        model: The model that writes.
        settings: Limits.
        tokens: Counts tokens where the model server does not tell.
        observer: Counts outcomes and tokens.
        clock: Times.
    """

    def __init__(
        self,
        upstream: ChatUpstream,
        *,
        model: ModelChoice,
        settings: QueryRewriteSettings,
        tokens: TokenCounter,
        observer: RewriteObserver,
        clock: Clock,
    ) -> None:
        self._model = HelperModel(
            upstream, model=model, max_tokens=settings.max_tokens, timeout_ms=settings.timeout_ms, tokens=tokens
        )
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._circuit = Circuit(clock=clock, pause=PAUSE_SECONDS)

    async def rewrite(self, history: Sequence[PastTurn], query: str) -> str:
        """Return what to search for: what the model wrote, or ``query``.

        The model is not asked where there is nothing to lean on, and for PAUSE_SECONDS after a failure.

        Args:
            history: The turns before the message, oldest first.
            query: The message.
        """
        if not history or not self._circuit.allows():
            self._observer.query_rewritten(outcome="skipped", seconds=0)
            return query
        begun = self._clock.monotonic()
        outcome, text = await self._ask(history[-self._settings.turns :], query)
        self._observer.query_rewritten(outcome=outcome, seconds=self._clock.monotonic() - begun)
        return query if text is None else text

    async def _ask(self, history: Sequence[PastTurn], query: str) -> tuple[str, str | None]:
        try:
            written = await self._model.ask(rewrite_messages(history, query))
        except MemrouterError as error:
            self._failed(str(error))
            return ("timeout" if isinstance(error, UpstreamTimeout) else "failed"), None
        if self._circuit.succeeded():
            logger.info("queries are rewritten again")
        self._observer.rewrite_tokens(prompt=written.prompt_tokens, completion=written.completion_tokens)
        text = search_text(written.text)
        if text is None:
            return "unusable", None
        return ("unchanged" if text == " ".join(query.split()) else "rewritten"), text

    def _failed(self, reason: str) -> None:
        if self._circuit.failed():
            logger.warning("messages are searched for as they are, without being rewritten: %s", reason)

"""Asking the model of role ``memory_extraction`` for facts; whatever happens, the turns themselves are kept."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from memrouter.clock import Clock
from memrouter.errors import MemrouterError, UpstreamTimeout
from memrouter.memory.extraction.facts import Facts, read_facts
from memrouter.memory.extraction.observer import ExtractionObserver
from memrouter.memory.extraction.prompt import RESPONSE_FORMATS, extraction_messages
from memrouter.memory.helper_model import HelperModel, Message, UpstreamStatus, Written
from memrouter.models.memory import MemoryRecord
from memrouter.stores.circuit import Circuit

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 5.0
"""Time for which a model that failed is not asked again."""

_FORMAT_REFUSED: Final = frozenset({400, 415, 422, 501})


class FactExtractor:
    """Has a model draw facts from turns.

    Args:
        model: The model.
        observer: Is told what it cost and how it went.
        clock: Times.
    """

    def __init__(self, model: HelperModel, *, observer: ExtractionObserver, clock: Clock) -> None:
        self._model = model
        self._observer = observer
        self._clock = clock
        self._circuit = Circuit(clock=clock, pause=PAUSE_SECONDS)
        self._format = 0

    async def extract(self, turns: Sequence[MemoryRecord], known: Sequence[MemoryRecord]) -> Facts | None:
        """Return the facts that the model found; None where it failed or wrote something else.

        It is not asked for PAUSE_SECONDS after a failure.

        Args:
            turns: At least one, of one conversation, oldest first.
            known: Facts that are remembered and that a new one may make untrue.
        """
        if not self._circuit.allows():
            self._observer.extraction(outcome="skipped", seconds=0)
            return None
        begun = self._clock.monotonic()
        outcome, facts = await self._asked(turns, known)
        self._observer.extraction(outcome=outcome, seconds=self._clock.monotonic() - begun)
        return facts

    async def _asked(self, turns: Sequence[MemoryRecord], known: Sequence[MemoryRecord]) -> tuple[str, Facts | None]:
        try:
            written = await self._written(extraction_messages(turns, known))
        except MemrouterError as error:
            if self._circuit.failed():
                logger.warning("turns are kept as they are, without facts drawn from them: %s", error)
            return ("timeout" if isinstance(error, UpstreamTimeout) else "failed"), None
        if self._circuit.succeeded():
            logger.info("facts are drawn from turns again")
        self._observer.extraction_call(prompt=written.prompt_tokens, completion=written.completion_tokens)
        facts = await asyncio.to_thread(read_facts, written.text, turns, known)
        return ("unusable" if facts is None else "extracted"), facts

    async def _written(self, messages: Sequence[Message]) -> Written:
        """Return what the model writes, asked in the strictest form that its server takes."""
        for number in range(self._format, len(RESPONSE_FORMATS)):
            try:
                written = await self._model.ask(messages, response_format=RESPONSE_FORMATS[number])
            except UpstreamStatus as error:
                if error.status not in _FORMAT_REFUSED or number == len(RESPONSE_FORMATS) - 1:
                    raise
            else:
                self._format = number
                return written
        raise AssertionError("the last form either answers or raises")

"""Stores what finished turns left to remember; runs behind the queue, after the answer was sent."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from weakref import WeakKeyDictionary

from memrouter.memory.service import MemoryService
from memrouter.memory.storing.deposit import TRIED_AGAIN, Fate, Outcome
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.write_gate import Asked
from memrouter.memory.storing.write_plan import Write
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import NOT_TRACED, Origin, Tracer

logger = logging.getLogger(__name__)

MADE_AT_ONCE: Final = 8
"""Of several turns, the drafts of so many are made before requests have their turn: some 1 ms where they are short."""


@dataclass(frozen=True, eq=False)
class FinishedTurn:
    """A turn from which memories are to be made.

    Attributes:
        scope: Whose turn.
        extracted: Makes what to remember; nothing where the turn is of low information.
        begun_at: When the request arrived, in milliseconds since the epoch: what was deleted since is not brought
            back by it.
        origin: The span of the request, for the trace of what is done for it later.
    """

    scope: Scope
    extracted: Callable[[], Sequence[MemoryDraft]]
    begun_at: int
    origin: Origin | None = None

    @cached_property
    def drafts(self) -> Sequence[MemoryDraft]:
        """Return what to remember, made when it is first asked for."""
        return self.extracted()


class TurnWriter:
    """Does what waits behind the queue of finished turns and the tally of accesses.

    Args:
        service: Where memories are stored and counted.
        metrics: Counts what was stored.
        on_stored: Told of each new memory; must not wait. None: nobody is.
        tracer: Makes a span of each turn.

    Attributes:
        done: How many turns of ``store_all`` that left something to remember are done with.
    """

    def __init__(
        self,
        *,
        service: MemoryService,
        metrics: Metrics,
        on_stored: Callable[[MemoryRecord], None] | None = None,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        self._service = service
        self._metrics = metrics
        self._on_stored = on_stored
        self._tracer = tracer
        self.done = 0
        self._under_way: WeakKeyDictionary[FinishedTurn, Write] = WeakKeyDictionary()

    async def store(self, turn: FinishedTurn) -> None:
        """Store a turn's memories; a turn that is tried again is embedded and stored once only."""
        if not turn.drafts:
            self._metrics.skipped("low_information")
            return
        if not await self._saving(turn):
            self._metrics.skipped("saving_off")
            return
        gate = self._service.gate
        write = self._under_way.get(turn)
        if write is None:
            write = await gate.admit(turn.scope, turn.drafts, actor=Actor.ROUTER, begun_at=turn.begun_at)
            self._under_way[turn] = write
        outcomes = await gate.store(write)
        stored = [outcome.record for outcome in outcomes if _is_new(outcome) and outcome.record is not None]
        self._metrics.stored(len(stored))
        if self._on_stored is not None:
            for record in stored:
                self._on_stored(record)
        self._metrics.truncated(sum(draft.truncated for draft in turn.drafts))

    async def store_all(self, turns: Sequence[FinishedTurn]) -> Sequence[Exception | None]:
        """Store the memories of some turns, and return for each why that failed, None where it did not.

        Their texts are embedded together, and the users' changes are made at the same time; a user's turns are stored
        in their order. No turn fails for what another one holds.
        """
        failures: dict[FinishedTurn, Exception] = {}
        if len(turns) > 1 and not self._tracer.on:  # the spans of one turn hold no work for another one
            await self._admit_together(turns)
        of_users: defaultdict[str, list[FinishedTurn]] = defaultdict(list)
        for turn in turns:
            of_users[turn.scope.user_id].append(turn)
        await asyncio.gather(*(self._store_each(own, failures) for own in of_users.values()))
        self.done += sum([turn not in failures and len(turn.drafts) > 0 for turn in turns])
        return [failures.get(turn) for turn in turns]

    async def _admit_together(self, turns: Sequence[FinishedTurn]) -> None:
        """Admit what can be; where it fails, each turn is admitted alone, and fails by itself."""
        try:
            fresh = [turn async for turn in self._fresh(turns)]
            asked = [Asked(turn.scope, turn.drafts, turn.begun_at) for turn in fresh]
            writes = await self._service.gate.admit_all(asked, actor=Actor.ROUTER)
        except Exception as error:  # noqa: BLE001 -- told of when it comes again
            logger.debug("turns are admitted one by one after %s", type(error).__name__)
        else:
            self._under_way.update(zip(fresh, writes, strict=True))

    async def _fresh(self, turns: Sequence[FinishedTurn]) -> AsyncIterator[FinishedTurn]:
        """Yield the turns that leave something to remember and were not admitted before."""
        for place, turn in enumerate(turns):
            if place and place % MADE_AT_ONCE == 0:
                await asyncio.sleep(0)  # to make drafts is work, and requests must not wait for all of it
            if turn not in self._under_way and turn.drafts and await self._saving(turn):
                yield turn

    async def _store_each(self, turns: Sequence[FinishedTurn], failures: dict[FinishedTurn, Exception]) -> None:
        for turn in turns:
            try:
                with self._tracer.linked("memory store", turn.origin):
                    await self.store(turn)
            except Exception as error:  # noqa: BLE001 -- the failure of this turn alone
                failures[turn] = error

    async def _saving(self, turn: FinishedTurn) -> bool:
        return (await self._service.switches.of(turn.scope.user_id)).saving

    async def count(self, scope: Scope, ids: Sequence[str]) -> None:
        """Count one access for each memory."""
        await self._service.count_access(scope, ids)


def _is_new(outcome: Outcome) -> bool:
    """Return whether a turn's memory is new, also where that was found only at the second try."""
    return outcome.fate is Fate.STORED or outcome.reason == TRIED_AGAIN

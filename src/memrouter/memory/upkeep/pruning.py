"""Removing the memories that have to go by themselves."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec.structs import replace

from memrouter.clock import Clock
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.memory.upkeep.grace import Grace
from memrouter.memory.upkeep.observer import UpkeepObserver
from memrouter.memory.upkeep.pace import FullSpeed, Pace
from memrouter.memory.upkeep.report import PruneReport
from memrouter.memory.upkeep.retention import Departure, RetentionRules, Rule
from memrouter.memory.upkeep.walk import Part, parts
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore

PIECE: Final = 200
"""Most memories that go in one step."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A memory with the reason why it goes."""

    record: MemoryRecord
    departure: Departure


class Pruning:
    """Looks through a store and removes what the rules say.

    Just before a memory goes it is read again, and it stays where it was used, changed or pinned meanwhile. A write
    that comes between this reading and the removal has everything looked at anew. Counting an access is no write: one
    that is counted in those few milliseconds comes too late.

    Args:
        store: Where.
        edits: Removes.
        rules: What has to go.
        clock: Tells the time.
        observer: Counts.
    """

    def __init__(
        self, *, store: MemoryStore, edits: OwnerEdits, rules: RetentionRules, clock: Clock, observer: UpkeepObserver
    ) -> None:
        self._store = store
        self._edits = edits
        self._grace = Grace(store.state)
        self._rules = rules
        self._clock = clock
        self._observer = observer

    async def run(
        self,
        *,
        pace: Pace | None = None,
        user_id: str | None = None,
        after: str | None = None,
        dry_run: bool = False,
        grace: bool = False,
        actor: Actor = Actor.ROUTER,
        note: Callable[[Leaving], None] | None = None,
    ) -> PruneReport:
        """Look at everybody's memories, user by user.

        Args:
            pace: Holds it back and ends it; None for full speed.
            user_id: Only this user's; None for everybody's.
            after: Where to begin; see ``Pace.may_begin``.
            dry_run: Only say what would go.
            grace: Whether days without use count only from when on this store is pruned with grace, and a user's
                memories were imported; see ``Grace``.
            actor: Who wants it.
            note: Is told of each memory that went, or would go.

        Raises:
            StoreUnavailable: The store failed; what was removed until then is gone.
            InvalidRequest: ``after`` is no position in this store.
        """
        pace, report = pace or FullSpeed(), PruneReport(dry_run)
        if grace:
            await self._grace.begin(now=self._clock.now_ms())
        async with aclosing(parts(self._store, pace=pace, user_id=user_id, after=after)) as walk:
            async for part in walk:
                if not await pace.may_begin(part.before):
                    report.finished = False
                    break
                report.users += 1
                report.memories += len(part.records)
                since = await self._since(part) if grace else 0
                for leaving in await self._part(part, report, pace, actor, since):
                    report.removed[leaving.departure.rule] += 1
                    if note is not None:
                        note(leaving)
        return report

    async def _since(self, part: Part) -> int:
        """Return from when on days without use count; asked for only where it matters."""
        faded = any(leaving.departure.rule is Rule.FADED for leaving in self._leaving(part.records))
        return await self._grace.since(part.user_id, now=self._clock.now_ms()) if faded else 0

    async def _part(self, part: Part, report: PruneReport, pace: Pace, actor: Actor, since: int) -> Sequence[Leaving]:
        due = self._leaving(part.records, since)
        if report.dry_run:
            return due
        gone: list[Leaving] = []
        for first in range(0, len(due), PIECE):
            ids = [leaving.record.id for leaving in due[first : first + PIECE]]
            removed = await self._edits.apply(part.user_id, partial(self._plan, part.user_id, ids, since))
            report.spared += len(ids) - len(removed)
            gone += removed
            await pace.rest()
        self._tell(part.user_id, gone, actor)
        return gone

    async def _plan(self, user_id: str, ids: Sequence[str], since: int) -> Plan[Sequence[Leaving]]:
        """Plan to remove those that still have to go, and to take them out of the links of what replaced them."""
        scope = Scope(user_id, None)
        going = self._leaving(await self._store.get(scope, ids, now=0), since)
        gone = frozenset(leaving.record.id for leaving in going)
        heirs = {leaving.record.superseded_by for leaving in going} - gone
        held = await self._store.get(scope, sorted(heir for heir in heirs if heir is not None), now=0)
        put = [
            replace(record, links=tuple(link for link in record.links if link not in gone))
            for record in held
            if not gone.isdisjoint(record.links)
        ]
        return Plan(going, put=put, remove=gone)

    def _leaving(self, records: Sequence[MemoryRecord], since: int = 0) -> Sequence[Leaving]:
        now = self._clock.now_ms()
        found = ((record, self._rules.departure(record, now=now, since=since)) for record in records)
        return [Leaving(record, departure) for record, departure in found if departure is not None]

    def _tell(self, user_id: str, gone: Sequence[Leaving], actor: Actor) -> None:
        for rule, count in Counter(leaving.departure.rule for leaving in gone).items():
            ids = [leaving.record.id for leaving in gone if leaving.departure.rule is rule]
            self._observer.pruned(rule, count)
            audit("pruned", user_id, ids, actor=actor, rule=rule)

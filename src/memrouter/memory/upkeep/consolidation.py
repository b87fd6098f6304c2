"""Merging the memories that say the same."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from memrouter.clock import Clock
from memrouter.embeddings.base import Embedder
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.storing.trust import lowest
from memrouter.memory.upkeep.grouping import Group, Grouping, groupable
from memrouter.memory.upkeep.merging import MERGED, REPEATED, merged, replaced, same
from memrouter.memory.upkeep.observer import UpkeepObserver
from memrouter.memory.upkeep.pace import FullSpeed, Pace
from memrouter.memory.upkeep.report import ConsolidationReport, Merger
from memrouter.memory.upkeep.walk import parts
from memrouter.memory.upkeep.windows import Repetition, repetitions
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope, Trust, Vector
from memrouter.stores.base import MemoryStore

Accepts = Callable[[str, Trust], bool]
"""Whether a text of this trust passes the screening as it is; pure, may take milliseconds."""


class MergedTextWriter(Protocol):
    """Writes one text for several."""

    async def write(self, texts: Sequence[str]) -> str | None:
        """Return a text that says what all of them say; None where there is none that can be relied on."""
        ...


@dataclass(slots=True)
class _Run:
    """One run over some users: what bounds it and what came of it so far."""

    pace: Pace
    report: ConsolidationReport
    most: int | None
    actor: Actor
    refused: set[frozenset[str]] = field(default_factory=set)

    @property
    def left(self) -> int | None:
        return None if self.most is None else max(0, self.most - len(self.report.mergers))


@dataclass(frozen=True, slots=True, eq=False)
class _New:
    """What a group is to become."""

    memory_id: str
    text: str
    vector: Vector
    by_model: bool


class Consolidation:
    """Looks for memories that say the same, and puts one in their place.

    The new memory is stored in the same step in which the others leave retrieval, so that there is no moment at which
    one can find neither or both. It changes nothing where there is nothing to merge, and the number of memories that
    retrieval can find never rises.

    Args:
        store: Where.
        embedder: Makes the vector of a merged text, once.
        edits: Changes.
        grouping: Finds what belongs together.
        writer: Writes merged texts; None: they are put together from the distinct sentences.
        accepts: The screening that every text passes before it is stored.
        clock: Tells the time.
        ids: Names merged memories.
        observer: Counts.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        embedder: Embedder,
        edits: OwnerEdits,
        grouping: Grouping,
        writer: MergedTextWriter | None,
        accepts: Accepts,
        clock: Clock,
        ids: IdFactory,
        observer: UpkeepObserver,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._edits = edits
        self._grouping = grouping
        self._writer = writer
        self._accepts = accepts
        self._clock = clock
        self._ids = ids
        self._observer = observer

    async def run(
        self,
        *,
        pace: Pace | None = None,
        user_id: str | None = None,
        project_id: str | None = None,
        after: str | None = None,
        most: int | None = None,
        dry_run: bool = False,
        actor: Actor = Actor.ROUTER,
    ) -> ConsolidationReport:
        """Look at everybody's memories, user by user.

        Args:
            pace: Holds it back and ends it; None for full speed.
            user_id: Only this user's; None for everybody's.
            project_id: Only those of this project; None for all.
            after: Where to begin; see ``Pace.may_begin``.
            most: Most groups to merge; None for all.
            dry_run: Only say what would be merged first; what could be merged with that is not followed up.
            actor: Who wants it.

        Raises:
            StoreUnavailable: The store failed; what was merged until then is.
            EmbeddingError: The embedder failed, likewise.
            InvalidRequest: ``after`` is no position in this store.
        """
        run = _Run(pace or FullSpeed(), ConsolidationReport(dry_run), most, actor)
        async with aclosing(parts(self._store, pace=run.pace, user_id=user_id, after=after)) as walk:
            async for part in walk:
                if run.left == 0 or not await run.pace.may_begin(part.before):
                    run.report.finished = False
                    break
                records = [record for record in part.records if project_id in (None, record.project_id)]
                run.report.users += 1
                run.report.memories += len(records)
                if records:
                    await self._user(records, run)
        return run.report

    async def _user(self, records: list[MemoryRecord], run: _Run) -> None:
        for repetition in list(repetitions(records, now=self._clock.now_ms()))[: run.left]:
            await self._repeated(repetition, run)
        while True:
            groups = await self._grouping.groups(records, now=self._clock.now_ms(), pace=run.pace)
            new = [group for group in groups if _ids_of(group) not in run.refused]
            if len(new[: run.left]) < len(new):
                run.report.finished = False
            made = [await self._group(group, run) for group in new[: run.left]]
            found = [record for record in made if record is not None]
            if not found:
                return
            merged_away = {link for record in found for link in record.links}
            records = [record for record in records if record.id not in merged_away] + found

    async def _repeated(self, repetition: Repetition, run: _Run) -> None:
        """Let the memory of a window's last turn stand for the window."""
        window, turn = repetition.window, repetition.last_turn
        if not run.report.dry_run and not await self._edits.apply(
            window.user_id, lambda: self._plan_repeated(repetition)
        ):
            self._outdated(run)
            return
        run.report.mergers.append(Merger(turn.id, (window.id,), REPEATED))
        if not run.report.dry_run:
            self._observer.consolidated(REPEATED, sources=1)
            audit("consolidated", window.user_id, [window.id, turn.id], actor=run.actor, rule=REPEATED)

    async def _plan_repeated(self, repetition: Repetition) -> Plan[bool]:
        now, old = self._clock.now_ms(), repetition.window
        everything = await self._store.get(
            Scope(old.user_id, None), [old.id, *(turn.id for turn in repetition.turns)], now=now
        )
        still = next((each for each in repetitions(everything, now=now) if each.window.id == old.id), None)
        if still is None:
            return Plan(False)
        return Plan(True, put=[replaced(still.window, by=still.last_turn.id, rule=REPEATED, now=now)])

    async def _group(self, group: Group, run: _Run) -> MemoryRecord | None:
        """Merge one group; None where nothing was merged."""
        ids = tuple(member.id for member in group.members)
        if run.report.dry_run:
            run.report.mergers.append(Merger(None, ids, MERGED, group.similarity))
            return None
        text, by_model = await self._text(group)
        if text is None:
            run.refused.add(_ids_of(group))
            run.report.refused += 1
            self._observer.consolidated("refused", sources=0)
            return None
        (row,) = await self._embedder.embed([text])
        memory_id, vector = self._ids.new(), row.copy()
        user_id = group.members[0].user_id
        new = _New(memory_id, text, vector, by_model)
        record = await self._edits.apply(user_id, lambda: self._plan(group, new))
        await run.pace.rest()
        if record is None:
            run.refused.add(_ids_of(group))
            self._outdated(run)
            return None
        run.report.mergers.append(Merger(memory_id, ids, MERGED, group.similarity, by_model))
        self._observer.consolidated("merged_by_model" if by_model else MERGED, sources=len(ids))
        audit("consolidated", user_id, [memory_id, *ids], actor=run.actor, rule=MERGED)
        return record

    async def _plan(self, group: Group, new: _New) -> Plan[MemoryRecord | None]:
        """Plan to merge what was grouped, if it is still as it was then."""
        now = self._clock.now_ms()
        ids = [member.id for member in group.members]
        members = await self._store.get(Scope(group.members[0].user_id, None), ids, now=now)
        if len(members) < len(ids) or not all(
            same(old, still) and groupable(still, now=now) for old, still in zip(group.members, members, strict=True)
        ):
            return Plan(None)
        record = merged(members, memory_id=new.memory_id, content=new.text, embedding=new.vector, now=now)
        if new.by_model:
            record = replace(record, trust=lowest((record.trust, Trust.MODEL)))
        sources = [replaced(member, by=record.id, rule=MERGED, now=now) for member in members]
        return Plan(record, put=[record, *sources])

    async def _text(self, group: Group) -> tuple[str | None, bool]:
        """Return the merged text, and whether a model wrote it; no text where none passes the screening."""
        trust = lowest(member.trust for member in group.members)
        if self._writer is not None:
            written = await self._writer.write([member.content for member in group.members])
            if written is not None and await asyncio.to_thread(self._accepts, written, trust):
                return written, True
        return (group.text if await asyncio.to_thread(self._accepts, group.text, trust) else None), False

    def _outdated(self, run: _Run) -> None:
        run.report.outdated += 1
        self._observer.consolidated("outdated", sources=0)


def _ids_of(group: Group) -> frozenset[str]:
    return frozenset(member.id for member in group.members)

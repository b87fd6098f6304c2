"""Brings memories into a store: through the gate, with vectors of the store's model."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from memrouter.embeddings.base import Embedder
from memrouter.errors import MemoryConflict
from memrouter.memory.upkeep.grace import Grace
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Merged, MergeMode
from memrouter.transfer.gate import Gate, Refused, storable
from memrouter.transfer.reader import Read
from memrouter.transfer.report import Outcomes
from memrouter.transfer.twins import duplicates, own_id

DEFAULT_BATCH = 500
"""Memories that are written at a time."""


@dataclass(slots=True)
class _Prepared:
    """Memories that passed the gate, and which of them have no vector of the store's model yet."""

    records: list[MemoryRecord]
    vectorless: list[int]


class Importer:
    """Takes memories batch by batch. Doing it again changes nothing more.

    Args:
        store: Where they go; closed by the caller.
        embedder: Makes vectors of the store's model.
        mode: What to do where an id is taken.
        gate: What every memory passes.
        outcomes: Figures to go on with, from an earlier run.
        batch: Memories that are written at a time.
        dry_run: Whether to write nothing and only tell what would become of them. An id that another owner has is
            not seen then.
        distinct_at: Where given, a memory that its owner has already, under another id and visible at this time
            (milliseconds since the epoch), is passed over.
        trim: Where given, is called with the id of each user who got memories, removes what is over the cap and
            returns how many those were.

    Attributes:
        outcomes: What became of the memories so far.
    """

    def __init__(
        self,
        store: MemoryStore,
        embedder: Embedder,
        *,
        mode: MergeMode,
        gate: Gate = storable,
        outcomes: Outcomes | None = None,
        batch: int = DEFAULT_BATCH,
        dry_run: bool = False,
        distinct_at: int | None = None,
        trim: Callable[[str], Awaitable[int]] | None = None,
    ) -> None:
        self.outcomes = outcomes or Outcomes()
        self._store = store
        self._embedder = embedder
        self._mode = mode
        self._gate = gate
        self._batch = batch
        self._dry_run = dry_run
        self._distinct_at = distinct_at
        self._trim = trim
        self._noted: str | None = None

    async def run(self, batches: AsyncIterable[Sequence[Read]], *, done: Callable[[int, int], Awaitable[None]]) -> None:
        """Bring in all batches.

        Args:
            batches: The memories, in the order of their lines.
            done: Is told the last line of what is written, and how many memories were dealt with since last time.

        Raises:
            EmbeddingError, StoreError: The batch under way was not written, or only in part; those before it were.
        """
        async for reads in batches:
            for first in range(0, len(reads), self._batch):
                part = reads[first : first + self._batch]
                await self.bring(part)
                await done(part[-1].line, len(part))

    async def bring(self, reads: Sequence[Read]) -> None:
        """Bring in one batch, which is counted once it is written."""
        counted = Outcomes(read=len(reads))
        prepared = await asyncio.to_thread(self._prepared, reads, counted)
        counted.reembedded = len(prepared.vectorless)
        if not self._dry_run:
            await self._embed(prepared)
        records = await self._distinct(prepared.records, counted)
        if self._dry_run:
            counted.settle(await self._predicted(records))
        elif records:
            await self._note_import(records)
            counted.settle(await self._merge(records, counted))
            await self._trimmed(records, counted)
        self.outcomes.include(counted)

    async def _distinct(self, records: Sequence[MemoryRecord], counted: Outcomes) -> Sequence[MemoryRecord]:
        if self._distinct_at is None:
            return records
        again = await duplicates(self._store, records, now=self._distinct_at)
        counted.duplicates += len(again)
        return [record for place, record in enumerate(records) if place not in again]

    async def _note_import(self, records: Sequence[MemoryRecord]) -> None:
        """Have days without use count from now on, or what is brought in might be pruned at once."""
        if self._distinct_at is not None:
            for user_id in dict.fromkeys(record.user_id for record in records):
                if user_id != self._noted:
                    await Grace(self._store.state).imported(user_id, now=self._distinct_at)
                    self._noted = user_id

    async def _trimmed(self, records: Sequence[MemoryRecord], counted: Outcomes) -> None:
        if self._trim is not None:
            for user_id in dict.fromkeys(record.user_id for record in records):
                counted.evicted += await self._trim(user_id)

    def _prepared(self, reads: Sequence[Read], counted: Outcomes) -> _Prepared:
        about = self._store.capabilities
        prepared = _Prepared([], [])
        for read in reads:
            if read.record is None:
                counted.left_out += 1
                continue
            passed = self._gate(read.record)
            if isinstance(passed, Refused):
                counted.refuse(passed.reason, line=read.line)
                continue
            counted.mended += passed.content != read.record.content
            counted.quarantined += passed.quarantine is not None and read.record.quarantine is None
            if passed.embedding_model != about.embedding_model or passed.embedding.shape != (about.dimension,):
                prepared.vectorless.append(len(prepared.records))
            prepared.records.append(passed)
        return prepared

    async def _embed(self, prepared: _Prepared) -> None:
        records, places = prepared.records, prepared.vectorless
        if not places:
            return
        matrix = await self._embedder.embed([records[place].content for place in places])
        model = self._embedder.info.model
        for place, vector in zip(places, matrix, strict=True):
            records[place] = replace(records[place], embedding=vector, embedding_model=model)

    async def _merge(self, records: Sequence[MemoryRecord], counted: Outcomes) -> Sequence[Merged]:
        """Merge memories; where an id is another owner's, the memory gets one that is always the same."""
        try:
            return await self._store.merge(records, mode=self._mode)
        except MemoryConflict as conflict:
            if len({record.id for record in records}) < len(records):  # two owners, and the first one keeps the id
                return [one for record in records for one in await self._merge([record], counted)]
            taken = frozenset(conflict.ids)
        own = [replace(record, id=own_id(record)) if record.id in taken else record for record in records]
        try:
            merged = await self._store.merge(own, mode=self._mode)
        except MemoryConflict as conflict:  # somebody has foreseen the new id, and stops nobody else with it
            foreseen = frozenset(conflict.ids)
            for _ in foreseen:
                counted.refuse("its id, and the one made in its place, are another owner's")
            merged = await self._store.merge([each for each in own if each.id not in foreseen], mode=self._mode)
        counted.renamed += len(taken) - (len(own) - len(merged))
        return merged

    async def _predicted(self, records: Sequence[MemoryRecord]) -> list[Merged]:
        """Return what merging would do, without doing it."""
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for record in records:
            wanted[record.user_id].append(record.id)
        there: dict[tuple[str, str], int] = {}
        for user_id, ids in wanted.items():
            # At time 0 nothing has expired: those that have are in the way too.
            for found in await self._store.get(Scope(user_id, None), ids, now=0):
                there[user_id, found.id] = found.updated_at
        return [self._mode.outcome(record, held=there.get((record.user_id, record.id))) for record in records]

"""Brings memories into a store: through the gate, with vectors of the store's model."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from memrouter.embeddings.base import Embedder
from memrouter.errors import MemoryConflict
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Merged, MergeMode
from memrouter.transfer.gate import Gate, Refused, storable
from memrouter.transfer.reader import Read
from memrouter.transfer.report import Outcomes

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
    ) -> None:
        self.outcomes = outcomes or Outcomes()
        self._store = store
        self._embedder = embedder
        self._mode = mode
        self._gate = gate
        self._batch = batch
        self._dry_run = dry_run

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
        if self._dry_run:
            counted.settle(await self._predicted(prepared.records))
        elif prepared.records:
            await self._embed(prepared)
            counted.settle(await self._merge(prepared.records, counted))
        self.outcomes.include(counted)

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


def own_id(record: MemoryRecord) -> str:
    """Return the id that a memory gets where its own is another owner's in the target."""
    name = f"{record.user_id}\0{record.id}"
    return f"mem_{hashlib.sha256(name.encode()).hexdigest()[:32]}"

"""Export and import of one user's own memories, for the HTTP API."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from memrouter.clock import Clock
from memrouter.embeddings.base import Embedder
from memrouter.memory.screening.screen import Screen
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode
from memrouter.transfer.exporting import new_manifest, pieces
from memrouter.transfer.format import Filters
from memrouter.transfer.gate import ScreenedGate, unproven
from memrouter.transfer.importing import Importer
from memrouter.transfer.intake import Intake
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.owners import own_memories
from memrouter.transfer.reader import MemoryReader, Read
from memrouter.transfer.report import ImportReport, Outcomes
from memrouter.transfer.seen import SeenMemories
from memrouter.transfer.writer import LineWriter

BATCH = 100
"""Memories that are read or written at a time: few, so that chats have their turn in between."""


class OwnTransfer:
    """Reaches nobody's memories but those of the user who is named in each call.

    Args:
        store: Keeps the memories; closed by whoever opened it.
        embedder: Makes vectors of the store's model.
        clock: Tells the time.
        screen: What every memory that comes in is screened with.
        trim: Removes what a user has over the cap, and returns how many those were.
        require_saving: Raises where nothing may be stored for a user.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        embedder: Embedder,
        clock: Clock,
        screen: Screen,
        trim: Callable[[str], Awaitable[int]],
        require_saving: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._clock = clock
        self._screen = screen
        self._trim = trim
        self._require_saving = require_saving

    async def export(self, user_id: str, *, project_id: str | None, vectors: bool) -> AsyncIterator[bytes]:
        """Return the lines of the user's memories; the store has been asked once when this returns.

        Args:
            user_id: Whose memories.
            project_id: Only this project's; None for all.
            vectors: Whether memories come with their vectors.

        Raises:
            StoreUnavailable: The store cannot serve.
        """
        filters = Filters(user_id=user_id, project_id=project_id)
        manifest = await new_manifest(self._store, filters, vectors=vectors, now=self._clock.now_ms())
        found = pieces(self._store, LineWriter(manifest), page=BATCH)

        async def lines() -> AsyncIterator[bytes]:
            async for piece in found:
                if piece.data:
                    yield piece.data

        return lines()

    async def bring(
        self,
        user_id: str,
        body: AsyncIterable[bytes],
        *,
        mode: MergeMode,
        take_over: bool,
        max_line_bytes: int,
        outcomes: Outcomes,
    ) -> ImportReport:
        """Import lines into the user's own memories and return what became of them.

        What the lines say of trust and of later than now is not believed; see ``unproven`` and ``ScreenedGate``.

        Args:
            user_id: Whose memories they become.
            body: The lines, in chunks of any size.
            mode: What to do where an id is taken.
            take_over: Whether memories of other owners become the user's; a line with one is damage otherwise.
            max_line_bytes: Longest line.
            outcomes: Where to count, so that the caller knows how far it came where this raises.

        Raises:
            Forbidden: Saving is switched off for the user.
            EmbeddingError, StoreError: The embedder or the store failed; doing it again changes nothing more.
        """
        await self._require_saving(user_id)
        now = self._clock.now_ms()
        importer = Importer(
            self._store,
            self._embedder,
            mode=mode,
            gate=ScreenedGate(partial(unproven, now=now), self._screen, now=now, believed=False),
            outcomes=outcomes,
            batch=BATCH,
            distinct_at=now,
            trim=self._trim,
        )
        seen = await asyncio.to_thread(SeenMemories)
        try:
            reader = MemoryReader(seen, claim=own_memories(user_id, take_over=take_over))
            intake = Intake(reader, LineSplitter(limit=max_line_bytes))
            await importer.run(_batches(body, intake), done=_unnoted)
        finally:
            await asyncio.to_thread(seen.close)
        damage = intake.damage
        return ImportReport(
            outcomes=outcomes,
            sha256="" if damage else reader.sha256,
            damage=damage.reason if damage else None,
            damaged_line=damage.line if damage else None,
        )


async def _batches(body: AsyncIterable[bytes], intake: Intake) -> AsyncIterator[Sequence[Read]]:
    async for chunk in body:
        yield await asyncio.to_thread(intake.take, chunk)
        if intake.damage is not None:
            return
    yield await asyncio.to_thread(intake.end)


async def _unnoted(line: int, count: int) -> None:
    """Note nothing: whoever repeats an import sends it from the start."""

"""An export into a file, which can be broken off at any moment and taken up again."""

import asyncio
from pathlib import Path

import msgspec

from memrouter.errors import DamagedData, InvalidRequest
from memrouter.stores.base import MemoryStore
from memrouter.transfer.exporting import DEFAULT_PAGE, Piece, new_manifest, pieces
from memrouter.transfer.files import PartFile
from memrouter.transfer.format import Filters, Manifest
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.progress import Progress
from memrouter.transfer.reader import MemoryReader
from memrouter.transfer.report import ExportReport, Outcomes
from memrouter.transfer.seen import SeenMemories
from memrouter.transfer.side_file import SideFile
from memrouter.transfer.writer import LineWriter


class ExportState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an export is.

    Attributes:
        position: Where the store is read on.
        size: Bytes of the file up to there.
        outcomes: Figures up to there.
    """

    position: str
    size: int
    outcomes: Outcomes


class FileExport:
    """Writes ``FILE.part`` with ``FILE.part.state`` beside it, and in the end ``FILE`` alone.

    Args:
        store: What is read.
        filters: Which memories.
        path: The file; must not exist.
        vectors: Whether memories come with their vectors.
        progress: Is told how far it is.
        page: Memories that are read, and kept safe, at a time.
    """

    def __init__(
        self,
        store: MemoryStore,
        filters: Filters,
        path: Path,
        *,
        vectors: bool,
        progress: Progress,
        page: int = DEFAULT_PAGE,
    ) -> None:
        self._store = store
        self._filters = filters
        self._vectors = vectors
        self._progress = progress
        self._page = page
        self._part = PartFile(path)
        self._state = SideFile(path.with_name(f"{path.name}.part.state"), ExportState)

    async def run(self, *, resume: bool, now: int) -> ExportReport:
        """Write the file and return what is in it.

        Args:
            resume: Whether to go on with what an earlier run left; where it left nothing, the export begins anew.
            now: Milliseconds since the epoch.

        Raises:
            InvalidRequest: The file exists, or what was left was begun with other options or is damaged.
            OSError: The file cannot be written.
            StoreUnavailable: The store failed; the export can be taken up.
        """
        path = self._part.path
        if await asyncio.to_thread(path.exists):
            raise InvalidRequest(f"{path} exists already; name another file, or remove it")
        try:
            writer, after = await self._begun(resume=resume, now=now)
            self._progress.begin("exporting", total=writer.manifest.count)
            self._progress.advance(writer.outcomes.read)
            found = pieces(self._store, writer, after=after, page=self._page, progress=self._progress)
            async for piece in found:
                await asyncio.to_thread(self._keep, piece, writer.outcomes)
            await asyncio.to_thread(self._complete)
        finally:
            self._part.close()
        return writer.report()

    async def _begun(self, *, resume: bool, now: int) -> tuple[LineWriter, str | None]:
        """Return the counting writer and where to read on; None for from the start."""
        state = await asyncio.to_thread(self._state.read) if resume else None
        writer = None if state is None else await asyncio.to_thread(self._taken_up, state)
        if state is not None and writer is not None:
            self._progress.say(f"going on behind the first {writer.outcomes.read} memories")
            return writer, state.position
        if resume:
            self._progress.say(f"{self._part.part} holds nothing to go on with; the export begins anew")
        manifest = await new_manifest(self._store, self._filters, vectors=self._vectors, now=now)
        await asyncio.to_thread(self._started)
        return LineWriter(manifest), None

    def _started(self) -> None:
        self._state.remove()
        self._part.start()

    def _taken_up(self, state: ExportState) -> LineWriter | None:
        """Check every line that an earlier run has kept, and return a writer that has counted them."""
        if self._part.take_up(state.size) is None:
            return None
        try:
            with SeenMemories() as seen:
                return self._counted(MemoryReader(seen), state.outcomes)
        except DamagedData as error:
            raise InvalidRequest(
                f"{self._part.part} cannot be gone on with: {error}; begin anew without --resume"
            ) from None

    def _counted(self, reader: MemoryReader, outcomes: Outcomes) -> LineWriter:
        """Return a writer that has counted the lines of the part file, read by ``reader``."""
        writer: LineWriter | None = None
        splitter = LineSplitter()
        for chunk in self._part.earlier():
            for line in splitter.feed(chunk):
                read = reader.feed(line)
                writer = writer or LineWriter(self._required(reader.manifest), outcomes=outcomes)
                writer.take_up(line)
                if read is not None and read.record is not None:
                    writer.count(read.record)
        if writer is None or reader.count != outcomes.added:
            raise DamagedData(reader.line + 1, "lines are missing")
        return writer

    def _required(self, manifest: Manifest | None) -> Manifest:
        """Return the manifest of the earlier run if this run would write the same one."""
        about = self._store.capabilities
        wanted = (self._filters, self._vectors, about.embedding_model, about.dimension, about.backend)
        if manifest is None or wanted != (
            manifest.filters,
            manifest.vectors,
            manifest.embedding_model,
            manifest.dimension,
            manifest.source.backend,
        ):
            raise InvalidRequest(
                f"{self._part.part} was begun with other filters or another store; give the same options as then, "
                "or begin anew without --resume"
            )
        return manifest

    def _keep(self, piece: Piece, outcomes: Outcomes) -> None:
        size = self._part.append(piece.data)
        if piece.position is not None:
            self._state.write(ExportState(position=piece.position, size=size, outcomes=outcomes))

    def _complete(self) -> None:
        # In this order: a part file without a state is begun anew, a state without its part file would confuse.
        self._state.remove()
        self._part.complete()

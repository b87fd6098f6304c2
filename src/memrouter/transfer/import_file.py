"""An import from a file, which can be broken off at any moment and taken up again."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from memrouter.errors import DamagedData, InvalidRequest
from memrouter.stores.base import Capabilities
from memrouter.transfer.files import chunks
from memrouter.transfer.format import Manifest
from memrouter.transfer.importing import Importer
from memrouter.transfer.intake import Intake
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.progress import Progress
from memrouter.transfer.reader import Claim, MemoryReader, Read
from memrouter.transfer.report import ImportReport, Outcomes
from memrouter.transfer.seen import SeenMemories
from memrouter.transfer.side_file import SideFile


class ImportState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is.

    Attributes:
        identity: Which file, by a digest of its first line.
        options: Which options, by a digest.
        line: Last line that is dealt with.
        outcomes: Figures up to there.
    """

    identity: str
    options: str
    line: int
    outcomes: Outcomes


def import_state(path: Path) -> SideFile[ImportState]:
    """Return the file beside ``path`` that says how far its import is."""
    return SideFile(path.with_name(f"{path.name}.import-state"), ImportState)


class FileImport:
    """Reads a file from its start, always: what was imported before is checked again, but not written again.

    Args:
        importer: Takes the memories.
        about: What the target store is.
        claim: Says whose each memory is to be.
        progress: Is told how far it is.
        state: Where to note how far it is; None notes nothing.
        options: Digest of everything but the file that decides what is written.
    """

    def __init__(
        self,
        importer: Importer,
        about: Capabilities,
        *,
        claim: Claim,
        progress: Progress,
        state: SideFile[ImportState] | None,
        options: str,
    ) -> None:
        self._importer = importer
        self._about = about
        self._claim = claim
        self._progress = progress
        self._state = state
        self._options = options
        self._begun: ImportState | None = None

    async def run(self, source: BinaryIO, *, gzipped: bool, resume: bool, dry_run: bool) -> ImportReport:
        """Import the file and return what became of its memories.

        Args:
            source: The file, open.
            gzipped: Whether it is gzipped.
            resume: Whether to go on where an earlier run stopped; where none did, the import begins anew.
            dry_run: Whether the importer writes nothing.

        Raises:
            InvalidRequest: The earlier run was of another file or with other options.
            EmbeddingError, StoreError: The embedder or the store failed; the import can be taken up.
        """
        if resume and self._state is not None:
            self._begun = await asyncio.to_thread(self._state.read)
            if self._begun is None:
                self._progress.say("there is nothing to go on with; the import begins anew")
            else:
                self._importer.outcomes = self._begun.outcomes
        with SeenMemories() as seen:
            reader = MemoryReader(seen, claim=self._claim)
            intake = Intake(reader, LineSplitter())

            async def done(line: int, count: int) -> None:
                await self._note(reader.identity, line)
                self._progress.advance(count)

            await self._importer.run(self._batches(chunks(source, gzipped=gzipped), reader, intake), done=done)
            damage, sha256 = intake.damage, reader.sha256
        if damage is None and self._state is not None:
            await asyncio.to_thread(self._state.remove)
        return ImportReport(
            outcomes=self._importer.outcomes,
            sha256="" if damage else sha256,
            damage=damage.reason if damage else None,
            damaged_line=damage.line if damage else None,
            dry_run=dry_run,
        )

    async def _batches(
        self, source: Iterator[bytes], reader: MemoryReader, intake: Intake
    ) -> AsyncIterator[Sequence[Read]]:
        announced, last = False, False
        while not last and intake.damage is None:
            reads, last = await asyncio.to_thread(_next, source, reader, intake)
            if not announced and reader.manifest is not None:
                announced = True
                self._announce(reader.manifest, reader.identity)
            yield reads if self._begun is None else [read for read in reads if read.line > self._begun.line]

    def _announce(self, manifest: Manifest, identity: str) -> None:
        begun = self._begun
        if begun is not None and begun.identity != identity:
            raise InvalidRequest("the import that was broken off was of another file; begin anew without --resume")
        if begun is not None and begun.options != self._options:
            raise InvalidRequest(
                "the import was begun with other options; give the same as then, or begin anew without --resume"
            )
        about = self._about
        number = "all" if manifest.count is None else f"all {manifest.count}"
        if (manifest.embedding_model, manifest.dimension) != (about.embedding_model, about.dimension):
            self._progress.say(
                f"the file's vectors are of {manifest.embedding_model} ({manifest.dimension} numbers), this store "
                f"keeps those of {about.embedding_model} ({about.dimension} numbers): {number} memories are embedded "
                "again from their text. Searches then score as the new model does: look again at thresholds of your own"
            )
        elif not manifest.vectors:
            self._progress.say(f"the file has no vectors: {number} memories are embedded from their text")
        self._progress.begin("importing", total=manifest.count)
        if begun is not None:
            self._progress.say(f"going on behind line {begun.line}")
            self._progress.advance(begun.outcomes.read)

    async def _note(self, identity: str, line: int) -> None:
        if self._state is not None:
            state = ImportState(identity=identity, options=self._options, line=line, outcomes=self._importer.outcomes)
            try:
                await asyncio.to_thread(self._state.write, state)
            except OSError as error:
                self._progress.say(
                    f"{self._state.path} cannot be written ({error.strerror}): --resume cannot go on here"
                )
                self._state = None


def _next(source: Iterator[bytes], reader: MemoryReader, intake: Intake) -> tuple[Sequence[Read], bool]:
    """Return the memories of the next chunk, and whether it was the last."""
    try:
        chunk = next(source, None)
    except InvalidRequest as error:
        intake.damage = DamagedData(reader.line + 1, str(error))
        return (), True
    return (intake.end(), True) if chunk is None else (intake.take(chunk), False)

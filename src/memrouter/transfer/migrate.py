"""All memories of one store into another, then the proof that they are there."""

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from memrouter.clock import Clock
from memrouter.embeddings.base import Embedder
from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode, ScanPage, ScanQuery
from memrouter.transfer.ahead import ahead
from memrouter.transfer.exporting import DEFAULT_PAGE
from memrouter.transfer.gate import Refused, storable
from memrouter.transfer.importing import Importer
from memrouter.transfer.progress import Progress
from memrouter.transfer.reader import Read
from memrouter.transfer.reconcile import Reconciler, Reconciliation
from memrouter.transfer.report import Outcomes
from memrouter.transfer.side_file import SideFile
from memrouter.transfer.state_copy import copy_state


class MigrateState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a migration is.

    Attributes:
        options: From where to where, and how, by a digest.
        position: Of the source's scan; everything before it is dealt with.
        outcomes: Figures up to there.
    """

    options: str
    position: str
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class MigrateReport:
    """What a migration did.

    Attributes:
        outcomes: What became of each memory; for a dry run, what would.
        proof: What a look at both stores afterwards found; None for a dry run.
        facts: How many small facts beside the memories were brought over.
    """

    outcomes: Outcomes
    proof: Reconciliation | None
    facts: int

    @property
    def complete(self) -> bool:
        """Return whether every memory is accounted for and found in the target."""
        proven = self.proof is None or self.proof.complete
        return self.outcomes.balanced and not self.outcomes.refused and proven

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "outcomes": self.outcomes.as_dict(),
            "proof": None if self.proof is None else self.proof.as_dict(),
            "facts": self.facts,
            "complete": self.complete,
            "dry_run": self.proof is None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateOptions:
    """How memories are moved.

    Attributes:
        mode: What to do where the target has a memory of the same id.
        page: Memories that are read and written at a time.
        sample: Memories that are read back one by one.
        dry_run: Whether to write nothing and tell what would happen.
    """

    mode: MergeMode = MergeMode.NEWER
    page: int = DEFAULT_PAGE
    sample: int = 100
    dry_run: bool = False


class Migration:
    """Moves all memories and the facts beside them from one store to another; doing it again changes nothing more.

    Args:
        source: Is only read.
        target: Takes the memories; its own others stay.
        embedder: Makes vectors of the target's model, for memories whose vectors are of another.
        options: How.
        rng: Chooses the sample.
        clock: Tells the time.
        progress: Is told how far it is.
        state: Where to note how far it is; None notes nothing.
        identity: Digest of from where to where.
    """

    def __init__(
        self,
        source: MemoryStore,
        target: MemoryStore,
        embedder: Embedder,
        *,
        options: MigrateOptions,
        rng: random.Random,
        clock: Clock,
        progress: Progress,
        state: SideFile[MigrateState] | None = None,
        identity: str = "",
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._rng = rng
        self._clock = clock
        self._progress = progress
        self._state = None if options.dry_run else state
        self._identity = f"{identity}:{options.mode}"
        self._importer = Importer(target, embedder, mode=options.mode, batch=options.page, dry_run=options.dry_run)

    async def run(self, *, resume: bool) -> MigrateReport:
        """Move everything and prove it.

        Args:
            resume: Whether to go on where an earlier run stopped; where none did, all is read anew.

        Raises:
            InvalidRequest: The earlier run was between other stores or of another mode.
            EmbeddingError, StoreError: The embedder or a store failed; the work can be taken up.
        """
        begun = await self._begun() if resume else None
        total = await self._source.count(None)
        self._announce(total)
        self._progress.begin("moving", total=total)
        if begun is not None:
            self._importer.outcomes = begun.outcomes
            self._progress.advance(begun.outcomes.read)
        after = None if begun is None else begun.position
        query = ScanQuery(after=after, page=self._options.page)
        async with aclosing(ahead(self._source.scan(query))) as pages:
            async for page in pages:
                await self._bring(page)
        facts = await copy_state(
            self._source,
            self._target,
            mode=self._options.mode,
            now=self._clock.now_ms(),
            dry_run=self._options.dry_run,
        )
        proof = None if self._options.dry_run else await self._prove(total)
        if self._state is not None:
            await asyncio.to_thread(self._state.remove)
        return MigrateReport(self._importer.outcomes, proof, facts)

    async def _bring(self, page: ScanPage) -> None:
        first = self._importer.outcomes.read
        await self._importer.bring([Read(first + place, record) for place, record in enumerate(page.records, 1)])
        await self._note(page)
        self._progress.advance(len(page.records))

    async def _begun(self) -> MigrateState | None:
        state = None if self._state is None else await asyncio.to_thread(self._state.read)
        if state is None:
            self._progress.say("there is nothing to go on with; everything is read anew")
        elif state.options != self._identity:
            raise InvalidRequest(
                "the migration that was broken off was between other stores, or with another --merge; "
                "begin anew without --resume"
            )
        return state

    def _announce(self, total: int) -> None:
        source, target = self._source.capabilities, self._target.capabilities
        if (source.embedding_model, source.dimension) != (target.embedding_model, target.dimension):
            self._progress.say(
                f"the source keeps vectors of {source.embedding_model} ({source.dimension} numbers), the target those "
                f"of {target.embedding_model} ({target.dimension} numbers): all {total} memories are embedded again "
                "from their text. Searches then score as the new model does: look again at thresholds of your own"
            )

    async def _note(self, page: ScanPage) -> None:
        if self._state is not None:
            state = MigrateState(options=self._identity, position=page.position, outcomes=self._importer.outcomes)
            await asyncio.to_thread(self._state.write, state)

    async def _prove(self, total: int) -> Reconciliation:
        self._progress.begin("verifying", total=total)
        reconciler = Reconciler(
            self._source,
            self._target,
            mode=self._options.mode,
            expected=_expected,
            sample=self._options.sample,
            rng=self._rng,
            progress=self._progress,
        )
        return await reconciler.run()


def _expected(record: MemoryRecord) -> MemoryRecord | None:
    """Return a memory as it passes the gate; None where it does not."""
    passed = storable(record)
    return None if isinstance(passed, Refused) else passed

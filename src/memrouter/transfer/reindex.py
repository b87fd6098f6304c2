"""All vectors of a store made anew from text by another model, while routers go on serving with the old ones."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from memrouter.embeddings.base import Embedder
from memrouter.errors import StoreUnavailable
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.reindexing import Reindexing
from memrouter.transfer.progress import Progress

STEP: Final = 1000
"""Memories that are looked at, embedded and kept at a time."""

FEW: Final = 100
"""With no more than this many memories written during a pass, the store is sealed and the rest caught up."""

MAX_PASSES: Final = 20
"""Passes before the store is sealed although writers outrun them, and passes after that."""


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a reindex did.

    ``memories`` is ``reused + embedded`` less the new vectors whose memory was deleted or got another text meanwhile.

    Attributes:
        before: Whose vectors were kept.
        after: Whose vectors are kept now; for a dry run, what would be.
        memories: How many memories have vectors of ``after``; for a dry run, how many are kept.
        reused: New vectors that an earlier run had made.
        embedded: Memories that this run embedded; for a dry run, how many it would.
        caught_up: How many of these were written or rewritten while it ran.
        unchanged: Whether there was nothing to do.
        dry_run: Whether nothing was written.
    """

    before: EmbeddingSpace
    after: EmbeddingSpace
    memories: int
    reused: int = 0
    embedded: int = 0
    caught_up: int = 0
    unchanged: bool = False
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return asdict(self)


@dataclass(slots=True)
class _Pass:
    """What a pass saw and did: memories looked at, those without a new vector, new vectors kept."""

    looked: int = 0
    pending: int = 0
    kept: int = 0


class Reindex:
    """One run. It may be broken off at any point and begun again: what was embedded is not embedded twice.

    Args:
        store: The store's part; closed by the caller.
        embedder: The new model; closed by the caller.
        progress: Is told how far it is.
        step: Memories that are looked at, embedded and kept at a time.
    """

    def __init__(self, store: Reindexing, embedder: Embedder, *, progress: Progress, step: int = STEP) -> None:
        self._store = store
        self._embedder = embedder
        self._progress = progress
        self._step = step
        self._target = EmbeddingSpace(embedder.info.model, embedder.info.dimension)

    async def predict(self) -> ReindexReport:
        """Return what ``run`` would do as things are now; changes nothing."""
        survey = await self._store.survey()
        reused = min(survey.made, survey.memories) if survey.under_way is not None else 0
        unchanged = survey.under_way is None and survey.kept in (None, self._target)
        return ReindexReport(
            before=survey.kept or self._target,
            after=self._target,
            memories=survey.memories,
            reused=reused,
            embedded=0 if unchanged else survey.memories - reused,
            unchanged=unchanged,
            dry_run=True,
        )

    async def run(self) -> ReindexReport:
        """Embed everything, switch, and remove the old vectors.

        Raises:
            SchemaMismatch: A reindex to another model is under way.
            EmbeddingError: The model failed; run it again.
            StoreUnavailable: The store failed, or another process ended the reindex; run it again.
        """
        survey = await self._store.survey()
        if not await self._store.begin():
            return ReindexReport(survey.kept or self._target, self._target, survey.memories, unchanged=True)
        first = await self._pass("embedding", total=survey.memories)
        caught_up, new = 0, first.kept
        for _ in range(MAX_PASSES):
            if new <= FEW:
                break
            new = (await self._pass("catching up")).kept
            caught_up += new
        await self._store.seal()
        memories, late = await self._switch()
        caught_up += late
        self._progress.begin("removing what is left", total=None)
        await self._store.finish()
        return ReindexReport(
            before=survey.kept or self._target,
            after=self._target,
            memories=memories,
            reused=first.looked - first.pending,
            embedded=first.kept + caught_up,
            caught_up=caught_up,
        )

    async def _switch(self) -> tuple[int, int]:
        """Return how many memories have their new vectors, and how many were embedded after the sealing."""
        late = 0
        for _ in range(MAX_PASSES):
            self._progress.begin("switching", total=None)
            memories = await self._store.switch()
            if memories is not None:
                return memories, late
            late += (await self._pass("catching up")).kept
        raise StoreUnavailable(
            "memories are still being written with old vectors, though the store takes none: stop every memrouter of "
            "an older version that uses it, and run the command again"
        )

    async def _pass(self, task: str, *, total: int | None = None) -> _Pass:
        """Go once through the memories and embed those without a new vector."""
        self._progress.begin(task, total=total)
        done = _Pass()
        async for batch in self._store.pending(step=self._step):
            done.looked += batch.looked
            done.pending += len(batch.texts)
            if batch.texts:
                vectors = await self._embedder.embed([text.content for text in batch.texts])
                done.kept += await self._store.put(batch.texts, vectors)
            self._progress.advance(batch.looked)
        return done

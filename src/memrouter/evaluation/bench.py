"""A real store with a real embedder, and users of its own that are gone afterwards."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from random import Random

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.cached import CachedEmbedder
from memrouter.embeddings.factory import open_embedder
from memrouter.embeddings.tokens import TokenCounter
from memrouter.evaluation.conversations import Utterance
from memrouter.memory.retrieval.rerank import RerankStage
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer, open_analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.ids import IdFactory
from memrouter.models.memory import DEFAULT_PROJECT, MemoryRecord, MemoryType, Scope, Source, Vector
from memrouter.rerankers.base import Reranker
from memrouter.rerankers.factory import open_reranker
from memrouter.stores.base import MemoryStore
from memrouter.stores.factory import open_store

CACHED_VECTORS = 4096
"""Vectors that a bench keeps, whatever is configured."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps of it are done, and how many there are."""


class StudyClock:
    """Satisfies ``Clock``; tells a time of the past that is set, and real durations.

    Args:
        inner: Where durations come from.
    """

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self.ms = inner.now_ms()

    def now_ms(self) -> int:
        """Return ``ms``, whatever was set last."""
        return self.ms

    def monotonic(self) -> float:
        """Return seconds of the inner clock."""
        return self._inner.monotonic()


class RerankCount:
    """Counts what came of re-ranking; satisfies ``RerankObserver``.

    Attributes:
        done: Rankings that the cross-encoder ordered anew.
        failed: Rankings that stayed as they were because it failed, was too slow or was left alone for that.
    """

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0

    def reranked(self, *, outcome: str, seconds: float) -> None:
        """Note one try."""
        del seconds
        if outcome == "ok":
            self.done += 1
        else:
            self.failed += 1


class Bench:
    """The store under study.

    Every user's name begins with the same random text, so a store in use can be studied too.

    Attributes:
        store: Real, open.
        embedder: With a cache, so that a question costs one embedding however many arms ask it.
        tokens: Counts what would be injected.
        analyzer: Turns texts into index terms.
        clock: Its ``ms`` is the time of everything that happens.
        settings: ``global.stores.memory``.
        reranker: The configured cross-encoder; None where there is none.
        rerank_count: What came of it.

    Args:
        rng: Names users and memories; never seeded, since a store may hold those of another run.
    """

    def __init__(
        self,
        *,
        store: MemoryStore,
        embedder: CachedEmbedder,
        tokens: TokenCounter,
        analyzer: Analyzer,
        clock: StudyClock,
        settings: MemorySettings,
        rng: Random,
        reranker: Reranker | None = None,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.tokens = tokens
        self.clock = clock
        self.settings = settings
        self.reranker = reranker
        self.rerank_count = RerankCount()
        self.analyzer = analyzer
        self._rng = rng
        self._ids = IdFactory(clock, rng)
        self._prefix = f"memrouter-eval-{rng.getrandbits(64):016x}-"
        self._users: dict[str, Scope] = {}
        self._working_sets: list[WorkingSet] = []

    def scope(self, name: str, project: str = DEFAULT_PROJECT) -> Scope:
        """Return the scope of a user of this bench; its memories are removed at the end."""
        scope = Scope(self._prefix + name, project)
        self._users[scope.user_id] = scope
        return scope

    def service(self, *, scan_limit: int | None = None, reranked: bool = True) -> MemoryService:
        """Return a memory service over the store, with a working set of its own.

        Args:
            scan_limit: Largest user that is ranked whole; None for what is configured.
            reranked: Whether the configured cross-encoder, if any, orders anew what was found.
        """
        working_set = WorkingSet(max_bytes=self.settings.limits.working_set_bytes)
        self._working_sets.append(working_set)
        retriever = Retriever(
            store=self.store,
            embedder=self.embedder,
            working_set=working_set,
            analyzer=self.analyzer,
            clock=self.clock,
            scan_limit=self.settings.limits.scan_limit if scan_limit is None else scan_limit,
        )
        return MemoryService.configured(
            self.settings,
            store=self.store,
            embedder=self.embedder,
            retriever=retriever,
            clock=self.clock,
            rng=self._rng,
            reranking=self._reranking() if reranked else None,
        )

    def _reranking(self) -> RerankStage | None:
        if self.reranker is None:
            return None
        settings = self.settings.reranker
        return RerankStage(
            self.reranker,
            candidates=settings.candidates,
            max_seconds=settings.timeout_ms / 1000,
            observer=self.rerank_count,
            clock=self.clock,
        )

    async def fill(self, scope: Scope, utterances: Sequence[Utterance]) -> dict[str, str]:
        """Store every utterance at its time, just as it is; return the utterance's id for each memory's id.

        What a study asks about must be there, so nothing goes through the write gate.

        Raises:
            StoreUnavailable: The store could not be asked.
            EmbeddingError: A text could not be embedded.
        """
        names: dict[str, str] = {}
        for _, group in groupby(utterances, key=lambda utterance: utterance.session):
            session = list(group)
            self.clock.ms = session[-1].at
            vectors = await self.embedder.embed([one.text for one in session])
            records = [self._record(scope, one, vector) for one, vector in zip(session, vectors, strict=True)]
            await self.store.create(records)
            names |= {record.id: one.id for record, one in zip(records, session, strict=True)}
        return names

    def _record(self, scope: Scope, utterance: Utterance, vector: Vector) -> MemoryRecord:
        return MemoryRecord(
            id=self._ids.new(),
            user_id=scope.user_id,
            project_id=scope.project_id or DEFAULT_PROJECT,
            content=utterance.text,
            embedding=vector,
            embedding_model=self.embedder.info.model,
            created_at=utterance.at,
            updated_at=self.clock.ms,
            type=MemoryType.EPISODIC,
            source=Source.CONVERSATION,
            conversation_id=utterance.session,
            turn_index=utterance.index,
        )

    async def aclose(self) -> None:
        """Remove every user of this bench."""
        for working_set in self._working_sets:
            await working_set.aclose()
        service = self.service()
        for user in self._users:
            await service.forget_all(Scope(user, None))


@contextlib.asynccontextmanager
async def open_bench(
    settings: MemorySettings, *, temporary: bool, env: Mapping[str, str], clock: Clock, rng: Random
) -> AsyncIterator[Bench]:
    """Open a bench; its users, and a temporary store, are gone afterwards.

    Args:
        settings: ``global.stores.memory``.
        temporary: Whether to use a SQLite file of its own instead of the store that ``settings`` name.
        env: The environment; see ``open_embedder``.
        clock: Where durations come from.
        rng: Names users and memories; not seeded.

    Raises:
        ConfigError: The embedder, the reranker or the store cannot be built as configured.
        StoreError: The store cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        if temporary:
            settings = _own_file(settings, stack.enter_context(tempfile.TemporaryDirectory(prefix="memrouter-eval-")))
        tokens = await asyncio.to_thread(TokenCounter.load)
        limits = settings.limits.model_copy(update={"embedding_cache_entries": CACHED_VECTORS})
        embedder = await open_embedder(
            settings.model_copy(update={"limits": limits}),
            env=env,
            dimension=settings.store_dimension,
            tokenizer=tokens.tokenizer,
        )
        stack.push_async_callback(embedder.aclose)
        info = embedder.info
        store = await open_store(settings, dimension=info.dimension, embedding_model=info.model)
        stack.push_async_callback(store.aclose)
        reranker = await open_reranker(settings.reranker, env=env)
        if reranker is not None:
            stack.push_async_callback(reranker.aclose)
        bench = Bench(
            store=store,
            embedder=embedder,
            tokens=tokens,
            analyzer=await open_analyzer(settings.retrieval.language),
            clock=StudyClock(clock),
            settings=settings,
            rng=rng,
            reranker=reranker,
        )
        stack.push_async_callback(bench.aclose)
        yield bench


def _own_file(settings: MemorySettings, folder: str) -> MemorySettings:
    sqlite = settings.sqlite.model_copy(update={"path": str(Path(folder, "memories.db")), "synchronous": "normal"})
    return settings.model_copy(update={"backend": "sqlite", "sqlite": sqlite})

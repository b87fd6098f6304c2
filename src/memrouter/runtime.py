"""Builds every object from the settings and owns the order of opening and closing. The only place that wires."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Self

from memrouter.clock import Clock
from memrouter.config.settings import Settings
from memrouter.embeddings.cached import CachedEmbedder
from memrouter.embeddings.factory import open_embedder
from memrouter.embeddings.instrumented import InstrumentedEmbedder
from memrouter.embeddings.tokens import TokenCounter
from memrouter.errors import EmbeddingError, StoreUnavailable
from memrouter.jobs.queue import JobQueue
from memrouter.jobs.tally import Tally
from memrouter.memory.reflection.item_weight import ItemWeight
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms
from memrouter.memory.retrieval.rerank import RerankStage
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.rewrite import QueryRewriter
from memrouter.memory.retrieval.words import Analyzer, open_analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.storing.writer import FinishedTurn, TurnWriter
from memrouter.models.memory import Scope
from memrouter.models.turn import ModelChoice
from memrouter.observability.metrics import Metrics
from memrouter.rerankers.factory import open_reranker
from memrouter.router.builtin.header_mutation import HeaderMutation
from memrouter.router.builtin.memory_plugin import MemoryRecall
from memrouter.router.builtin.memory_policies import RoutePolicies, any_enabled
from memrouter.router.builtin.system_prompt import SystemPrompt
from memrouter.router.decision import DecisionEngine
from memrouter.router.pipeline import Pipeline
from memrouter.router.plugins import PluginChain
from memrouter.router.selection import ModelCatalog
from memrouter.router.signals.factory import signal_evaluators
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.cache_key import store_name
from memrouter.stores.cache_server import ValkeyCacheServer
from memrouter.stores.cached import CachedStore
from memrouter.stores.deferred import open_or_defer
from memrouter.stores.factory import open_store
from memrouter.stores.hot_cache import HotCache
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.transfer.live_migration import PHASES, LiveMigration
from memrouter.transfer.open_migration import open_migration
from memrouter.transfer.own import OwnTransfer
from memrouter.upstream.client import HttpUpstream

logger = logging.getLogger(__name__)

STORE_RETRIES = 5
RETRY_DELAY_SECONDS = 0.5
ACCESS_SECONDS = 1.0
MAX_ACCESSES = 100_000
LEAST_DRAIN_SECONDS = 1.0


class Runtime:
    """A running router without its HTTP side.

    Attributes:
        settings: What it was built from.
        metrics: Everything that is counted.
        clock: Tells the time.
        catalog: The models that clients can name.
        pipeline: The way of a chat request.
        memory: The memory service; None where no route has memory.
        migration: The move to another store; None where none is configured.
        transfer: Export and import of a user's own memories; None where no route has memory.
        upstream: The model servers.
        default_threshold: The embedder's own threshold.
        reflection: The filter of routes without settings of their own.
        analyzer: Turns texts into index terms.
    """

    settings: Settings
    metrics: Metrics
    clock: Clock
    catalog: ModelCatalog
    pipeline: Pipeline
    memory: MemoryService | None
    migration: LiveMigration | None
    transfer: OwnTransfer | None
    upstream: HttpUpstream
    default_threshold: float
    reflection: ReflectionFilter
    analyzer: Analyzer
    _embedder: InstrumentedEmbedder

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        rng: random.Random,
        algorithms: ReflectionAlgorithms | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = Metrics()
        self.memory = None
        self.migration = None
        self.transfer = None
        self._rng = rng
        self._algorithms = algorithms or ReflectionAlgorithms()
        self._resources = contextlib.AsyncExitStack()
        self._store: MemoryStore | None = None
        self._stopping_since: float | None = None

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        env: Mapping[str, str],
        clock: Clock,
        rng: random.Random,
        algorithms: ReflectionAlgorithms | None = None,
    ) -> Self:
        """Return a router that can serve; ``aclose`` ends it.

        Args:
            settings: What to build.
            env: Environment variables, for keys and models.
            clock: Tells the time.
            rng: Chooses among weighted models and backends.
            algorithms: Reflection algorithms; None for memrouter's own and those of installed packages.

        Raises:
            ConfigError: A part cannot be built as configured.
            StoreError: The memory store cannot be opened.
        """
        runtime = cls(settings, clock=clock, rng=rng, algorithms=algorithms)
        try:
            await runtime._build(env)
        except BaseException:
            await runtime._resources.aclose()
            raise
        return runtime

    @property
    def stopping(self) -> bool:
        """Return whether the router has been told to stop."""
        return self._stopping_since is not None

    def begin_shutdown(self) -> None:
        """Note that the router is stopping; readiness fails from now on."""
        if self._stopping_since is None:
            self._stopping_since = self.clock.monotonic()

    async def check_store(self) -> None:
        """Prove that memories can be stored and found.

        Raises:
            StoreUnavailable: They cannot.
        """
        if self._store is not None:
            await self._store.check()

    async def check_embedder(self) -> None:
        """Prove that text can be embedded.

        Raises:
            EmbeddingError: It cannot.
        """
        await self._embedder.embed(["ready"])

    async def aclose(self) -> None:
        """Finish what waits to be stored, within what is left of ``shutdown_seconds``, and close everything."""
        self.begin_shutdown()
        await self._resources.aclose()

    async def _build(self, env: Mapping[str, str]) -> None:
        settings, memory = self.settings, self.settings.memory
        tokens = await asyncio.to_thread(TokenCounter.load)
        embedder = await self._open_embedder(env, tokens)
        policies = RoutePolicies(
            memory,
            settings.routing.decisions,
            default_threshold=self.default_threshold,
            algorithms=self._algorithms,
            weigher=ItemWeight(tokens),
        )
        self.reflection = policies.general.reflection
        self.analyzer = await open_analyzer(memory.retrieval.language)
        if any_enabled(memory, settings.routing.decisions):
            self.memory = await self._open_memory(embedder, reranking=await self._open_reranking(env))
        self.catalog = ModelCatalog(settings)
        self.upstream = HttpUpstream(
            settings, env=env, clock=self.clock, rng=self._rng, on_failover=self.metrics.failover
        )
        self._resources.push_async_callback(self.upstream.aclose)
        turns, accesses = self._open_queues()
        recall = MemoryRecall(
            service=self.memory,
            policies=policies,
            metrics=self.metrics,
            clock=self.clock,
            max_seconds=memory.timeout_ms / 1000,
            rewriter=self._rewriter(tokens),
            store=turns.offer,
            count=accesses.note,
        )
        decisions = settings.routing.decisions
        self.pipeline = Pipeline(
            signals=signal_evaluators(settings.routing.signals, embedder=embedder, tokens=tokens),
            decisions=DecisionEngine(decisions),
            catalog=self.catalog,
            plugins=PluginChain(
                [SystemPrompt.from_decisions(decisions), recall, HeaderMutation.from_decisions(decisions)]
            ),
            upstream=self.upstream,
            metrics=self.metrics,
            clock=self.clock,
            rng=self._rng,
        )

    async def _open_embedder(self, env: Mapping[str, str], tokens: TokenCounter) -> InstrumentedEmbedder:
        memory = self.settings.memory
        cached: CachedEmbedder = await open_embedder(
            memory, env=env, dimension=memory.store_dimension, tokenizer=tokens.tokenizer
        )
        self._resources.push_async_callback(cached.aclose)
        self.metrics.watch_embedding_cache(hits=lambda: cached.hits, misses=lambda: cached.misses)
        self.default_threshold = cached.info.default_threshold
        self._embedder = InstrumentedEmbedder(cached, observer=self.metrics, clock=self.clock)
        return self._embedder

    async def _open_memory(self, embedder: InstrumentedEmbedder, *, reranking: RerankStage | None) -> MemoryService:
        memory = self.settings.memory
        opened = await self._open_store(embedder)
        self._resources.push_async_callback(opened.aclose)
        cached = await self._cached(await self._migrating(opened, embedder))
        if self.migration is not None:
            self._resources.push_async_callback(self.migration.aclose, seconds=LEAST_DRAIN_SECONDS)
            self.migration.start()
        self._store = store = InstrumentedStore(cached, observer=self.metrics, clock=self.clock)
        working_set = WorkingSet(max_bytes=memory.limits.working_set_bytes)
        self._resources.push_async_callback(working_set.aclose)
        self.metrics.watch_working_set(
            hits=lambda: working_set.hits, misses=lambda: working_set.misses, size=lambda: working_set.nbytes
        )
        retriever = Retriever(
            store=store,
            embedder=embedder,
            working_set=working_set,
            analyzer=self.analyzer,
            clock=self.clock,
            scan_limit=memory.limits.scan_limit,
        )
        self.transfer = OwnTransfer(store=store, embedder=embedder, clock=self.clock)
        ids = IdFactory(self.clock, self._rng)
        return MemoryService(
            store=store, embedder=embedder, retriever=retriever, clock=self.clock, ids=ids, reranking=reranking
        )

    async def _open_reranking(self, env: Mapping[str, str]) -> RerankStage | None:
        settings = self.settings.memory.reranker
        reranker = await open_reranker(settings, env=env)
        if reranker is None:
            return None
        self._resources.push_async_callback(reranker.aclose)
        seconds = settings.timeout_ms / 1000
        return RerankStage(
            reranker, candidates=settings.candidates, max_seconds=seconds, observer=self.metrics, clock=self.clock
        )

    def _rewriter(self, tokens: TokenCounter) -> QueryRewriter | None:
        """Return what rewrites queries; None where no model is meant for it."""
        meant = self.settings.rewriting_model
        if meant is None:
            return None
        return QueryRewriter(
            self.upstream,
            model=ModelChoice(meant.name, meant.upstream_name),
            settings=self.settings.memory.query_rewrite,
            tokens=tokens,
            observer=self.metrics,
            clock=self.clock,
        )

    async def _open_store(self, embedder: InstrumentedEmbedder) -> MemoryStore:
        """Return the store; one on a server that is not there yet opens when it is."""
        memory, info = self.settings.memory, embedder.info

        async def opened() -> MemoryStore:
            return await open_store(memory, dimension=info.dimension, embedding_model=info.model)

        backend = memory.effective_backend
        if backend == "sqlite":
            return await opened()
        promised = Capabilities(backend, info.dimension, info.model, exact=False)
        return await open_or_defer(opened, capabilities=promised, rng=self._rng)

    async def _migrating(self, old: MemoryStore, embedder: InstrumentedEmbedder) -> MemoryStore:
        """Return ``old``, or, where its memories move, the store that stands for both."""
        memory, target = self.settings.memory, self.settings.memory.migration_target
        if memory.migration is None or target is None:
            return old
        store, work = await open_migration(
            old, memory.migration, target, info=embedder.info, clock=self.clock, rng=self._rng
        )
        self._resources.push_async_callback(store.aclose)
        self.migration = work
        self.metrics.watch_migration(
            phase=lambda: PHASES.index(work.status.phase),
            copied=lambda: work.status.copied,
            remaining=lambda: work.status.total - work.status.copied,
            dirty=lambda: work.status.dirty,
            failures=lambda: work.status.failures,
        )
        return store

    async def _cached(self, inner: MemoryStore) -> MemoryStore:
        """Return ``inner`` behind the hot cache where one is configured."""
        memory, cache = self.settings.memory, self.settings.memory.redis_cache
        if not cache.enabled:
            return inner
        server = await ValkeyCacheServer.open(cache)
        hot = HotCache(server, observer=self.metrics, clock=self.clock)
        name = store_name(memory, run=f"{self._rng.getrandbits(128):032x}")
        store = CachedStore(inner, hot, cache, name=name, observer=self.metrics)
        self._resources.push_async_callback(store.aclose)
        return store

    def _open_queues(self) -> tuple[JobQueue[FinishedTurn], Tally[Scope]]:
        """Return the queue of turns to store and the tally of accesses; both are emptied before the store closes."""
        limits = self.settings.memory.limits
        writer = None if self.memory is None else TurnWriter(service=self.memory, metrics=self.metrics)

        async def store(turn: FinishedTurn) -> None:
            if writer is not None:
                await writer.store(turn)

        async def count(scope: Scope, ids: Sequence[str]) -> None:
            if writer is not None:
                await writer.count(scope, ids)

        turns = JobQueue(
            store,
            capacity=limits.store_queue,
            workers=limits.store_workers,
            on_drop=lambda _: logger.warning("a finished turn was dropped: the queue of turns to store is full"),
            on_error=lambda error: logger.error("a finished turn could not be stored: %s", error),
            retries=STORE_RETRIES,
            retry_delay=RETRY_DELAY_SECONDS,
            retry_on=(StoreUnavailable, EmbeddingError),
        )
        accesses = Tally(
            count,
            seconds=ACCESS_SECONDS,
            capacity=MAX_ACCESSES,
            on_error=lambda error: logger.warning("accesses could not be counted: %s", error),
        )
        self.metrics.watch_queue(
            depth=lambda: turns.depth,
            dropped=lambda: turns.dropped,
            done=lambda: turns.done,
            failed=lambda: turns.failed,
        )
        self._resources.push_async_callback(self._drain, turns, accesses)
        return turns, accesses

    async def _drain(self, turns: JobQueue[FinishedTurn], accesses: Tally[Scope]) -> None:
        since = self._stopping_since if self._stopping_since is not None else self.clock.monotonic()
        spent = self.clock.monotonic() - since
        left = await turns.drain(max(LEAST_DRAIN_SECONDS, self.settings.global_.server.shutdown_seconds - spent))
        if left:
            logger.error("%d finished turn(s) could not be stored before the deadline", left)
        await turns.aclose()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAST_DRAIN_SECONDS):
                await accesses.aclose()

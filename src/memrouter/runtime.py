"""Builds every object from the settings and owns the order of opening and closing. The only place that wires."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final, Self

from memrouter.clock import Clock
from memrouter.config.settings import Settings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.cached import CachedEmbedder
from memrouter.embeddings.factory import open_embedder
from memrouter.embeddings.instrumented import InstrumentedEmbedder
from memrouter.embeddings.tokens import TokenCounter
from memrouter.jobs.schedule import Schedule
from memrouter.jobs.tally import Tally
from memrouter.jobs.traffic import Traffic
from memrouter.jobs.upkeep_tasks import upkeep_schedule
from memrouter.memory.reflection.item_weight import ItemWeight
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms
from memrouter.memory.retrieval.words import Analyzer, open_analyzer
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.storing.writer import TurnWriter
from memrouter.memory.upkeep.upkeep import Upkeep, unchanged_by
from memrouter.models.memory import Scope
from memrouter.observability.metrics import Metrics
from memrouter.observability.timeline import Timeline
from memrouter.observability.tracing import Tracer
from memrouter.router.builtin.header_mutation import HeaderMutation
from memrouter.router.builtin.memory_plugin import MemoryRecall
from memrouter.router.builtin.memory_policies import RoutePolicies, any_enabled
from memrouter.router.builtin.system_prompt import SystemPrompt
from memrouter.router.decision import DecisionEngine
from memrouter.router.pipeline import Pipeline
from memrouter.router.plugins import Plugin, PluginChain
from memrouter.router.selection import ModelCatalog
from memrouter.router.signals.factory import signal_evaluators
from memrouter.router.traced import TracedDecisions, TracedMemory
from memrouter.stores.base import MemoryStore
from memrouter.stores.state import StateStore
from memrouter.transfer.live_migration import LiveMigration
from memrouter.transfer.own import OwnTransfer
from memrouter.upstream.base import ChatUpstream
from memrouter.upstream.client import HttpUpstream
from memrouter.upstream.traced import TracedUpstream
from memrouter.wiring.after_turns import LEAST_DRAIN_SECONDS, AfterTurns
from memrouter.wiring.foundation import Foundation
from memrouter.wiring.helper_models import fact_model, merged_text_writer, query_rewriter
from memrouter.wiring.memory_service import open_memory_service, own_transfer
from memrouter.wiring.memory_store import open_memory_store
from memrouter.wiring.tracing import open_tracing

FLUSH_SECONDS: Final = 3.0
"""Longest that the last traces may take to be sent."""


class Runtime:
    """A running router without its HTTP side.

    Attributes:
        settings: What it was built from.
        metrics: Everything that is counted.
        tracer: Tells where requests spent their time.
        clock: Tells the time.
        rng: Source of randomness.
        tokens: Counts tokens.
        catalog: The models that clients can name.
        pipeline: The way of a chat request.
        recall: The memory plugin of that way, for programs that have memory without HTTP.
        turn_writer: Stores what finished turns left to remember; None where no route has memory.
        accesses: Counts, now and then, which memories prompts were given.
        memory: The memory service; None where no route has memory.
        migration: The move to another store; None where none is configured.
        transfer: Export and import of a user's own memories; None where no route has memory.
        upkeep: What keeps the memories in order; None where no route has memory.
        traffic: The requests in work, for what can wait.
        upstream: The model servers.
        default_threshold: The embedder's own threshold.
        reflection: The filter of routes without settings of their own.
        analyzer: Turns texts into index terms.
        timeline: What is counted, minute by minute, once it was started.
        env: The environment variables that it was opened with.
        opened_at: When, in milliseconds since the epoch.
        joined_metrics: Gives the metrics of all processes that answer behind one port; None for one process.
    """

    settings: Settings
    metrics: Metrics
    tracer: Tracer
    clock: Clock
    rng: random.Random
    tokens: TokenCounter
    catalog: ModelCatalog
    pipeline: Pipeline
    recall: MemoryRecall
    turn_writer: TurnWriter | None
    accesses: Tally[Scope]
    memory: MemoryService | None
    migration: LiveMigration | None
    transfer: OwnTransfer | None
    upkeep: Upkeep | None
    traffic: Traffic
    upstream: HttpUpstream
    default_threshold: float
    reflection: ReflectionFilter
    analyzer: Analyzer
    timeline: Timeline
    env: Mapping[str, str]
    opened_at: int
    joined_metrics: Callable[[], Awaitable[bytes]] | None
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
        self.rng = rng
        self.tracer, self.metrics = open_tracing(settings.tracing, clock=clock, rng=rng)
        self.opened_at = clock.now_ms()
        self.timeline = Timeline(self.metrics, clock=clock)
        self.joined_metrics = None
        self.memory = None
        self.migration = None
        self.transfer = None
        self.upkeep = None
        self.traffic = Traffic()
        self._algorithms = algorithms or ReflectionAlgorithms()
        self._resources = AsyncExitStack()
        self._schedule: Schedule | None = None
        self._store: MemoryStore | None = None
        self._stopping_since: float | None = None
        self._resources.push_async_callback(self._close_tracer)

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
        runtime.env = env
        try:
            await runtime._build(env)
        except BaseException:
            await runtime._resources.aclose()
            raise
        return runtime

    @property
    def store(self) -> MemoryStore | None:
        """Return what keeps the memories, with all that is wrapped around it; None where no route has memory."""
        return self._store

    @property
    def state(self) -> StateStore | None:
        """Return the small facts kept beside the memories; None where no route has memory."""
        return None if self._store is None else self._store.state

    @property
    def embedder_info(self) -> EmbedderInfo:
        """Return what the embedder is."""
        return self._embedder.info

    def on_close(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have something closed with the router, before what it is built on."""
        self._resources.push_async_callback(callback)

    @property
    def stopping(self) -> bool:
        """Return whether the router has been told to stop."""
        return self._stopping_since is not None

    def begin_shutdown(self) -> None:
        """Note that the router is stopping; readiness fails from now on."""
        if self._stopping_since is None:
            self._stopping_since = self.clock.monotonic()
        if self._schedule is not None:
            self._schedule.stop()

    def start_timeline(self) -> None:
        """Begin to keep figures over time, for a router that shows them; calling it again changes nothing."""
        self.on_close(self.timeline.aclose)
        self.timeline.start()

    def start_upkeep(self) -> None:
        """Begin to keep the memories in order now and then, together with the other routers of the store.

        For a router that serves; calling it again does nothing.
        """
        if self.upkeep is None or self.state is None or self._schedule is not None:
            return
        self._schedule = upkeep_schedule(
            self.upkeep,
            self.settings.memory,
            state=self.state,
            busy=lambda: self.traffic.busy,
            clock=self.clock,
            rng=self.rng,
            observer=self.metrics,
        )
        self._resources.push_async_callback(self._schedule.aclose)
        self._schedule.start()

    async def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text form; of all processes, where several answer behind one port."""
        if self.joined_metrics is not None:
            return await self.joined_metrics()
        return await asyncio.to_thread(self.metrics.render)

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
        base = Foundation(settings, self.metrics, self.tracer, self.clock, self.rng, self._resources)
        self.metrics.retrieval_deadline(memory.timeout_ms / 1000)
        self.tokens = await asyncio.to_thread(TokenCounter.load)
        embedder = await self._open_embedder(env)
        policies = RoutePolicies(
            memory,
            settings.routing.decisions,
            default_threshold=self.default_threshold,
            algorithms=self._algorithms,
            weigher=ItemWeight(self.tokens),
        )
        self.reflection = policies.general.reflection
        self.analyzer = await open_analyzer(memory.retrieval.language)
        if any_enabled(memory, settings.routing.decisions):
            await self._open_memory(base, embedder, env)
        self.catalog = ModelCatalog(settings)
        self.upstream = HttpUpstream(
            settings,
            env=env,
            clock=self.clock,
            rng=self.rng,
            on_failover=self.metrics.failover,
            tracer=self.tracer,
        )
        self._resources.push_async_callback(self.upstream.aclose)
        self.upkeep = self._upkeep(base, embedder)
        facts = fact_model(base, self._asked_for("extract"), self.tokens)
        after = AfterTurns(base, self.memory, self._store, facts, seconds_left=self._seconds_left)
        self.turn_writer, self.accesses = after.writer, after.accesses
        self.recall = MemoryRecall(
            service=self.memory,
            policies=policies,
            metrics=self.metrics,
            clock=self.clock,
            max_seconds=memory.timeout_ms / 1000,
            rewriter=query_rewriter(base, self._asked_for("rewrite"), self.tokens),
            store=after.turns.offer,
            count=after.accesses.note,
            arrived=after.make_way,
            tracer=self.tracer,
        )
        self.pipeline = self._pipeline(embedder)

    def _pipeline(self, embedder: InstrumentedEmbedder) -> Pipeline:
        routing = self.settings.routing
        plugins: list[Plugin] = [
            SystemPrompt.from_decisions(routing.decisions),
            TracedMemory(self.recall, self.tracer) if self.tracer.on else self.recall,
            HeaderMutation.from_decisions(routing.decisions),
        ]
        return Pipeline(
            signals=signal_evaluators(routing.signals, embedder=embedder, tokens=self.tokens),
            decisions=(
                TracedDecisions(routing.decisions, self.tracer) if self.tracer.on else DecisionEngine(routing.decisions)
            ),
            catalog=self.catalog,
            plugins=PluginChain(plugins),
            upstream=self._asked_for("answer"),
            metrics=self.metrics,
            clock=self.clock,
            rng=self.rng,
        )

    def _asked_for(self, purpose: str) -> ChatUpstream:
        """Return the model servers, for one purpose."""
        return TracedUpstream(self.upstream, self.tracer, purpose=purpose) if self.tracer.on else self.upstream

    async def _open_embedder(self, env: Mapping[str, str]) -> InstrumentedEmbedder:
        memory = self.settings.memory
        cached: CachedEmbedder = await open_embedder(
            memory, env=env, dimension=memory.store_dimension, tokenizer=self.tokens.tokenizer
        )
        self._resources.push_async_callback(cached.aclose)
        self.metrics.watch_embedding_cache(hits=lambda: cached.hits, misses=lambda: cached.misses)
        self.default_threshold = cached.info.default_threshold
        self._embedder = InstrumentedEmbedder(cached, observer=self.metrics, clock=self.clock)
        return self._embedder

    async def _open_memory(self, base: Foundation, embedder: InstrumentedEmbedder, env: Mapping[str, str]) -> None:
        self._store, self.migration = await open_memory_store(base, embedder.info)
        self.memory = await open_memory_service(base, self._store, embedder=embedder, analyzer=self.analyzer, env=env)
        self.transfer = own_transfer(base, self._store, self.memory, embedder=embedder)

    def _upkeep(self, base: Foundation, embedder: InstrumentedEmbedder) -> Upkeep | None:
        if self.memory is None or self._store is None:
            return None
        gate = self.memory.gate
        return Upkeep.of(
            self.settings.memory,
            store=self._store,
            embedder=embedder,
            edits=gate.edits,
            analyzer=self.analyzer,
            accepts=unchanged_by(gate.admission.screen),
            writer=merged_text_writer(base, self._asked_for("consolidate"), self.tokens, self.analyzer),
            clock=self.clock,
            ids=IdFactory(self.clock, self.rng),
            observer=self.metrics,
        )

    async def _close_tracer(self) -> None:
        await self.tracer.aclose(min(FLUSH_SECONDS, self._seconds_left()))

    def _seconds_left(self) -> float:
        """Return how long the shutdown may still take."""
        now = self.clock.monotonic()
        spent = now - (now if self._stopping_since is None else self._stopping_since)
        return max(LEAST_DRAIN_SECONDS, self.settings.global_.server.shutdown_seconds - spent)

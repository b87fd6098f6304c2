"""What is counted and timed, in Prometheus' form. No label ever holds anything that names a user."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from memrouter import __version__
from memrouter.observability.notes import TakesNotes, noted

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Reading = Callable[[], float]
"""Gives the present value of something that another object counts; may be called from any thread."""

_FAST: Final = (0.00025, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SLOW: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_LONG: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0)
_COUNTS: Final = (0, 1, 2, 3, 5, 8, 10, 15, 20, 50, 100)
RETRIEVAL_BOUNDS: Final = _FAST
"""Upper bounds, in seconds, between which retrievals are counted."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics(TakesNotes):
    """All metrics of one router, in a registry of its own. Every duration is in seconds.

    Label values come from the configuration or from fixed lists; a route is a route's template, never a path. What a
    request counts is found by its labels in a ``cache``, which takes a tenth of the time of ``labels``. What it counts
    before its model is asked is only noted then; it is counted when a request has been answered, or before it is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._registry = CollectorRegistry(auto_describe=False)
        self._watched = _Watched(self._registry)
        ProcessCollector(registry=self._registry)
        self._gauge("build_info", "Always 1; the label tells the version", "version").labels(__version__).set(1)
        self._requests = cache(self._counter("requests", "HTTP requests answered", "route", "method", "status").labels)
        self._request_seconds = cache(
            self._histogram("request_seconds", "Time to the last byte", _SLOW, "route").labels
        )
        self._overhead = self._histogram("router_overhead_seconds", "Time added to a chat request", _FAST)
        self._upstream_seconds = cache(
            self._histogram("upstream_seconds", "Time until a backend's answer began", _SLOW, "model", "backend").labels
        )
        self._failovers = self._counter(
            "upstream_failovers", "Backends passed over after a failure", "model", "backend"
        )
        self._memory = cache(
            self._counter("memory_requests", "Chat requests by memory status", "status", "decision").labels
        )
        self._retrieval_seconds = self._histogram("retrieval_seconds", "Time of a memory retrieval", _FAST)
        self._deadline = self._gauge("retrieval_deadline_seconds", "Longest time that a retrieval may take")
        self._retrieval_results = self._histogram("retrieval_results", "Memories found by a retrieval", _COUNTS)
        self._injected = self._counter("memories_injected", "Memories put into prompts")
        self._dropped = cache(
            self._counter("memories_dropped", "Memories found but left out of prompts", "reason").labels
        )
        self._stored = self._counter("memories_stored", "Memories written from finished turns")
        self._skipped = cache(self._counter("turns_skipped", "Finished turns not worth storing", "reason").labels)
        self._writes = cache(
            self._counter("memory_writes", "Texts that came to the write gate", "source", "outcome").labels
        )
        self._writes_dropped = self._counter("memory_writes_dropped", "Texts that the write gate refused", "reason")
        self._redactions = self._counter("redactions", "Pieces taken out of texts before they were stored", "kind")
        self._evicted = self._counter("memories_evicted", "Memories that made room under max_memories_per_user")
        self._truncated = self._counter("contents_truncated", "Contents cut to the largest size of a memory")
        self._store_operations = cache(
            self._counter("store_operations", "Store calls", "backend", "operation", "outcome").labels
        )
        self._store_seconds = cache(
            self._histogram("store_operation_seconds", "Time of a store call", _FAST, "backend", "operation").labels
        )
        self._cache_searches = cache(
            self._counter("cache_searches", "Searches by what the hot cache had for them", "outcome").labels
        )
        self._cache_operations = cache(
            self._counter("cache_operations", "Calls to the hot cache", "operation", "outcome").labels
        )
        self._cache_seconds = cache(
            self._histogram("cache_operation_seconds", "Time of a call to the hot cache", _FAST, "operation").labels
        )
        self._reranks = self._counter("reranks", "Retrievals by what came of re-ranking them", "outcome")
        self._rerank_seconds = self._histogram("rerank_seconds", "Time of a reranker call", _SLOW)
        self._rewrites = self._counter("query_rewrites", "Queries by what came of rewriting them", "outcome")
        self._rewrite_seconds = self._histogram("query_rewrite_seconds", "Time of rewriting a query", _SLOW)
        self._rewrite_tokens = self._counter("query_rewrite_tokens", "Tokens that rewriting queries cost", "kind")
        self._extractions = self._counter("extractions", "Batches of turns by what a model made of them", "outcome")
        self._extraction_seconds = self._histogram("extraction_seconds", "Time of drawing facts from a batch", _SLOW)
        self._extraction_calls = self._counter("extraction_calls", "Answers of the model that draws facts")
        self._extraction_tokens = self._counter("extraction_tokens", "Tokens that drawing facts cost", "kind")
        self._facts = self._counter("facts", "Facts that a model drew from turns, by what became of them", "outcome")
        self._unwaited = self._counter("extraction_overflows", "Turns left without facts because too many wait")
        self._embeddings = cache(self._counter("embeddings", "Texts sent to the embedder", "model", "outcome").labels)
        self._embedding_seconds = cache(
            self._histogram("embedding_seconds", "Time of an embedder call", _FAST, "model").labels
        )
        self._pruned = self._counter("memories_pruned", "Memories that went by themselves", "rule")
        self._groups = self._counter("consolidation_groups", "Groups of memories by what became of them", "outcome")
        self._consolidated = self._counter("memories_consolidated", "Memories that another one stands for now")
        self._consolidation_tokens = self._counter(
            "consolidation_tokens", "Tokens that writing merged texts cost", "kind"
        )
        self._upkeep_runs = self._counter("upkeep_runs", "Runs of scheduled upkeep in this router", "task", "outcome")
        self._upkeep_seconds = self._histogram("upkeep_seconds", "Time of a run of scheduled upkeep", _LONG, "task")
        self._upkeep_lease = self._gauge("upkeep_lease", "1 while this router does a task for its fleet", "task")
        self._upkeep_overdue = self._gauge(
            "upkeep_overdue_seconds", "How long a task has been due in its fleet without being done", "task"
        )
        self._rate_limited = self._counter("rate_limited", "Requests refused because a caller asked too often", "limit")
        self._errors = self._counter("errors", "Requests that ended in an error", "kind")

    def request(self, *, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is the template that matched, None where none did."""
        name = route or "other"
        self._requests(name, method if method in _METHODS else "other", str(status)).inc()
        self._request_seconds(name).observe(seconds)
        self.settle()

    def router_overhead(self, seconds: float) -> None:
        """Note the time that the router added to a chat request before the upstream's answer began."""
        self._overhead.observe(seconds)

    def upstream(self, *, model: str, backend: str, seconds: float) -> None:
        """Note how long a backend took until its answer began."""
        self._upstream_seconds(model, backend).observe(seconds)

    def failover(self, *, model: str, backend: str) -> None:
        """Count a backend that failed and was passed over for the next one."""
        self._failovers.labels(model, backend).inc()

    def memory_status(self, status: str, decision: str) -> None:
        """Count a chat request under its one memory status; ``decision`` is empty where none matched."""
        self._memory(status, decision).inc()

    @noted
    def retrieval(self, *, seconds: float, results: int) -> None:
        """Note one retrieval and how many memories it found."""
        self._retrieval_seconds.observe(seconds)
        self._retrieval_results.observe(results)

    def retrieval_deadline(self, seconds: float) -> None:
        """Note how long a retrieval may take before the request goes on without memory."""
        self._deadline.set(seconds)

    @noted
    def injected(self, count: int) -> None:
        """Count memories that went into a prompt."""
        self._injected.inc(count)

    @noted
    def dropped(self, reason: str) -> None:
        """Count a memory that was found and left out; ``reason`` is a ``Drop`` of the filter."""
        self._dropped(reason).inc()

    def stored(self, count: int) -> None:
        """Count memories written from a finished turn."""
        self._stored.inc(count)

    def skipped(self, reason: str) -> None:
        """Count a finished turn that was not stored; ``reason`` is one of a fixed list of words."""
        self._skipped(reason).inc()

    def written(self, *, source: str, outcome: str) -> None:
        """Count a text by what the write gate made of it; see ``memrouter.memory.storing.observer``."""
        self._writes(source, outcome).inc()

    def write_dropped(self, reason: str) -> None:
        """Count a text that the write gate refused; ``reason`` is one of a fixed list of words."""
        self._writes_dropped.labels(reason).inc()

    def redacted(self, *, kind: str, count: int) -> None:
        """Count pieces that were taken out of texts; ``kind`` comes from the configuration or a fixed list."""
        self._redactions.labels(kind).inc(count)

    def evicted(self, count: int) -> None:
        """Count memories that made room for others."""
        self._evicted.inc(count)

    def truncated(self, count: int) -> None:
        """Count contents that were cut to the largest size of a memory."""
        self._truncated.inc(count)

    @noted
    def store_operation(self, *, backend: str, operation: str, outcome: str, seconds: float) -> None:
        """Note one store call; see ``memrouter.stores.instrumented``."""
        self._store_operations(backend, operation, outcome).inc()
        self._store_seconds(backend, operation).observe(seconds)

    @noted
    def cache_search(self, outcome: str) -> None:
        """Count one search by what the hot cache had for it; see ``memrouter.stores.hot_cache``."""
        self._cache_searches(outcome).inc()

    @noted
    def cache_operation(self, *, operation: str, outcome: str, seconds: float) -> None:
        """Note one call to the hot cache; one that was skipped has no time."""
        self._cache_operations(operation, outcome).inc()
        if outcome != "skipped":
            self._cache_seconds(operation).observe(seconds)

    @noted
    def embedding(self, *, model: str, texts: int, outcome: str, seconds: float) -> None:
        """Note one embedder call; see ``memrouter.embeddings.instrumented``."""
        self._embeddings(model, outcome).inc(texts)
        self._embedding_seconds(model).observe(seconds)

    def reranked(self, *, outcome: str, seconds: float) -> None:
        """Note one try to re-rank; one that was skipped has no time. See ``memrouter.memory.retrieval.rerank``."""
        self._reranks.labels(outcome).inc()
        if outcome != "skipped":
            self._rerank_seconds.observe(seconds)

    def query_rewritten(self, *, outcome: str, seconds: float) -> None:
        """Note one query; one that was skipped has no time. See ``memrouter.memory.retrieval.rewrite``."""
        self._rewrites.labels(outcome).inc()
        if outcome != "skipped":
            self._rewrite_seconds.observe(seconds)

    def rewrite_tokens(self, *, prompt: int, completion: int) -> None:
        """Count the tokens that rewriting one query cost."""
        self._rewrite_tokens.labels("prompt").inc(prompt)
        self._rewrite_tokens.labels("completion").inc(completion)

    def pruned(self, rule: str, count: int) -> None:
        """Count memories that went by themselves; see ``memrouter.memory.upkeep.retention``."""
        self._pruned.labels(rule).inc(count)

    def consolidated(self, outcome: str, *, sources: int) -> None:
        """Count a group and the memories that left retrieval for it; see ``memrouter.memory.upkeep.observer``."""
        self._groups.labels(outcome).inc()
        self._consolidated.inc(sources)

    def consolidation_tokens(self, *, prompt: int, completion: int) -> None:
        """Count the tokens that writing one merged text cost."""
        self._consolidation_tokens.labels("prompt").inc(prompt)
        self._consolidation_tokens.labels("completion").inc(completion)

    def upkeep_run(self, task: str, outcome: str, seconds: float) -> None:
        """Note the end of a run; see ``memrouter.jobs.schedule``."""
        self._upkeep_runs.labels(task, outcome).inc()
        self._upkeep_seconds.labels(task).observe(seconds)

    def upkeep_lease(self, task: str, *, held: bool) -> None:
        """Note whether this router holds the lease of a task."""
        self._upkeep_lease.labels(task).set(held)

    def upkeep_overdue(self, task: str, seconds: float) -> None:
        """Note how long a task has been due; 0 while it is not."""
        self._upkeep_overdue.labels(task).set(seconds)

    def rate_limited(self, limit: str) -> None:
        """Count a request that was refused; ``limit`` is ``requests`` or ``bytes``."""
        self._rate_limited.labels(limit).inc()

    def extraction(self, *, outcome: str, seconds: float) -> None:
        """Note one batch of turns; one that no model saw has no time. See ``memrouter.memory.extraction.observer``."""
        self._extractions.labels(outcome).inc()
        if outcome not in ("skipped", "gone"):
            self._extraction_seconds.observe(seconds)

    def extraction_call(self, *, prompt: int, completion: int) -> None:
        """Count one answer of the model that draws facts, and its tokens."""
        self._extraction_calls.inc()
        self._extraction_tokens.labels("prompt").inc(prompt)
        self._extraction_tokens.labels("completion").inc(completion)

    def facts(self, *, outcome: str, count: int) -> None:
        """Count facts by what became of them."""
        self._facts.labels(outcome).inc(count)

    def extraction_overflow(self) -> None:
        """Count a turn that was not waited for."""
        self._unwaited.inc()

    def error(self, kind: str) -> None:
        """Count a request that ended in an error; ``kind`` is the error's code from ``memrouter.api.errors``."""
        self._errors.labels(kind).inc()

    def watch_queue(self, *, depth: Reading, dropped: Reading, done: Reading, failed: Reading) -> None:
        """Show the queue of turns that wait to be stored."""
        self._watched.gauge("store_queue_depth", "Finished turns that wait to be stored", depth)
        self._watched.counter("store_queue_dropped", "Turns dropped because the queue was full", dropped)
        self._watched.counter("store_queue_done", "Turns stored from the queue", done)
        self._watched.counter("store_queue_failed", "Turns given up after failures", failed)

    def watch_extraction(self, *, waiting: Reading, dropped: Reading, failed: Reading) -> None:
        """Show the turns that wait for facts to be drawn from them."""
        self._watched.gauge("extraction_turns_waiting", "Turns that wait for facts to be drawn from them", waiting)
        self._watched.counter("extraction_batches_dropped", "Batches dropped because too many wait", dropped)
        self._watched.counter("extraction_batches_failed", "Batches given up after failures of the store", failed)

    def watch_working_set(self, *, hits: Reading, misses: Reading, size: Reading) -> None:
        """Show the working set of ranked texts; ``size`` in bytes."""
        self._watched.counter("working_set_hits", "Retrievals answered from the working set", hits)
        self._watched.counter("working_set_misses", "Retrievals that had to load the owner's memories", misses)
        self._watched.gauge("working_set_bytes", "Size of the working set", size)

    def watch_migration(
        self, *, phase: Reading, copied: Reading, remaining: Reading, dirty: Reading, failures: Reading
    ) -> None:
        """Show a move to another store; see ``memrouter.transfer.live_migration``."""
        phases = "0 waiting, 1 blocked, 2 copying, 3 verifying, 4 switched"
        self._watched.gauge("migration_phase", f"How far the move to another store is: {phases}", phase)
        self._watched.gauge("migration_copied", "Memories dealt with in this phase of the move", copied)
        self._watched.gauge("migration_remaining", "Memories left to deal with in this phase of the move", remaining)
        self._watched.gauge("migration_dirty_owners", "Users whose last writes are yet to be compared", dirty)
        self._watched.counter("migration_mirror_failures", "Writes that did not reach the new store at once", failures)

    def watch_embedding_cache(self, *, hits: Reading, misses: Reading) -> None:
        """Show the cache in front of the embedder."""
        self._watched.counter("embedding_cache_hits", "Texts whose vector was at hand", hits)
        self._watched.counter("embedding_cache_misses", "Texts that had to be embedded", misses)

    def watch_store_memory(self, *, used: Reading, limit: Reading) -> None:
        """Show how full the store's server is, in bytes; see ``memrouter.stores.pressure``."""
        self._watched.gauge("store_memory_bytes", "Memory that the store's fullest server uses", used)
        self._watched.gauge("store_memory_limit_bytes", "Its maxmemory", limit)

    def watch_tracing(self, *, recorded: Reading, exported: Reading) -> None:
        """Show what became of spans; see ``memrouter.observability.tracing_otel``."""
        self._watched.counter("trace_spans_recorded", "Spans that were to be sent to the collector", recorded)
        self._watched.counter("trace_spans_exported", "Spans that the collector has taken", exported)

    def collect(self) -> Iterable[Metric]:
        """Return every metric with its samples, read one after the other; safe in any thread."""
        self.settle()
        return self._registry.collect()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format, of type ``METRICS_CONTENT_TYPE``; safe in any thread."""
        self.settle()
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, namespace="memrouter", registry=self._registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(name, help_text, labels, namespace="memrouter", registry=self._registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, help_text, labels, namespace="memrouter", buckets=buckets, registry=self._registry)


class _Watched(Collector):
    """Values that other objects count and that are read when the metrics are asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._readings: dict[str, tuple[type[CounterMetricFamily | GaugeMetricFamily], str, Reading]] = {}
        registry.register(self)

    def counter(self, name: str, help_text: str, reading: Reading) -> None:
        self._readings[f"memrouter_{name}"] = (CounterMetricFamily, help_text, reading)

    def gauge(self, name: str, help_text: str, reading: Reading) -> None:
        self._readings[f"memrouter_{name}"] = (GaugeMetricFamily, help_text, reading)

    def collect(self) -> Iterator[Metric]:
        for name, (family, help_text, reading) in list(self._readings.items()):
            yield family(name, help_text, value=reading())

"""The memory service, and what a user may take out of it and bring in, over an open store."""

from collections.abc import Mapping

from memrouter.embeddings.base import Embedder
from memrouter.memory.retrieval.rerank import RerankStage
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import Follower, WorkingSet
from memrouter.memory.service import MemoryService
from memrouter.rerankers.factory import open_reranker
from memrouter.stores.base import MemoryStore
from memrouter.transfer.own import OwnTransfer
from memrouter.wiring.foundation import Foundation


async def open_memory_service(
    base: Foundation, store: MemoryStore, *, embedder: Embedder, analyzer: Analyzer, env: Mapping[str, str]
) -> MemoryService:
    """Return the service.

    Args:
        base: What it is built on; closes what it opens.
        store: Keeps the memories.
        embedder: Makes the vectors of the store's model.
        analyzer: Turns texts into index terms.
        env: Environment variables, for keys.

    Raises:
        ConfigError: The reranker cannot be built as configured.
    """
    memory = base.settings.memory
    reranking = await _open_reranking(base, env)
    working_set = _working_set(base, analyzer)
    retriever = Retriever(
        store=store,
        embedder=embedder,
        working_set=working_set,
        analyzer=analyzer,
        clock=base.clock,
        scan_limit=memory.limits.scan_limit,
        tracer=base.tracer,
    )
    service = MemoryService.configured(
        memory,
        store=store,
        embedder=embedder,
        retriever=retriever,
        clock=base.clock,
        rng=base.rng,
        observer=base.metrics,
        reranking=reranking,
    )
    service.gate.edits.watch(working_set.changed)
    working_set.wait_for(service.gate.edits.told)
    return service


def _working_set(base: Foundation, analyzer: Analyzer) -> WorkingSet:
    limits = base.settings.memory.limits

    kept = WorkingSet(max_bytes=limits.working_set_bytes, follow=Follower(analyzer=analyzer, limit=limits.scan_limit))
    base.closing.push_async_callback(kept.aclose)
    base.metrics.watch_working_set(hits=lambda: kept.hits, misses=lambda: kept.misses, size=lambda: kept.nbytes)
    return kept


def own_transfer(base: Foundation, store: MemoryStore, service: MemoryService, *, embedder: Embedder) -> OwnTransfer:
    """Return export and import of a user's own memories; what comes in passes the service's gate."""
    return OwnTransfer(
        store=store,
        embedder=embedder,
        clock=base.clock,
        screen=service.gate.admission.screen,
        trim=service.gate.trim,
        require_saving=service.switches.require_saving,
    )


async def _open_reranking(base: Foundation, env: Mapping[str, str]) -> RerankStage | None:
    settings = base.settings.memory.reranker
    reranker = await open_reranker(settings, env=env)
    if reranker is None:
        return None
    base.closing.push_async_callback(reranker.aclose)
    seconds = settings.timeout_ms / 1000
    return RerankStage(
        reranker, candidates=settings.candidates, max_seconds=seconds, observer=base.metrics, clock=base.clock
    )

"""Metrics that become spans too: calls of the store, the embedder, the hot cache and the reranker."""

from typing import Final

from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import Tracer

_FINE: Final = frozenset({"ok", "cancelled", "skipped"})


class TracedMetrics(Metrics):
    """Counts as ``Metrics`` does, and adds a span to the request for each call that it is told of.

    Args:
        tracer: Makes the spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def store_operation(self, *, backend: str, operation: str, outcome: str, seconds: float) -> None:
        """See ``Metrics.store_operation``."""
        super().store_operation(backend=backend, operation=operation, outcome=outcome, seconds=seconds)
        self._tracer.record(
            f"{operation} {backend}",
            seconds=seconds,
            attributes={"db.system.name": backend, "db.operation.name": operation},
            client=True,
            failure=_failure(outcome),
        )

    def cache_operation(self, *, operation: str, outcome: str, seconds: float) -> None:
        """See ``Metrics.cache_operation``."""
        super().cache_operation(operation=operation, outcome=outcome, seconds=seconds)
        if outcome != "skipped":
            self._tracer.record(
                f"{operation} hot cache",
                seconds=seconds,
                attributes={"db.system.name": "valkey", "db.operation.name": operation},
                client=True,
                failure=_failure(outcome),
            )

    def embedding(self, *, model: str, texts: int, outcome: str, seconds: float) -> None:
        """See ``Metrics.embedding``."""
        super().embedding(model=model, texts=texts, outcome=outcome, seconds=seconds)
        self._tracer.record(
            f"embeddings {model}",
            seconds=seconds,
            attributes={
                "gen_ai.operation.name": "embeddings",
                "gen_ai.request.model": model,
                "memrouter.texts": texts,
            },
            failure=_failure(outcome),
        )

    def reranked(self, *, outcome: str, seconds: float) -> None:
        """See ``Metrics.reranked``."""
        super().reranked(outcome=outcome, seconds=seconds)
        if outcome != "skipped":
            attributes = {"memrouter.rerank.outcome": outcome}
            self._tracer.record("memory rerank", seconds=seconds, attributes=attributes)


def _failure(outcome: str) -> str:
    return "" if outcome in _FINE else outcome

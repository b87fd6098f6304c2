"""What a report's figures were measured on and with."""

from dataclasses import dataclass

from memrouter.evaluation.bench import Bench
from memrouter.evaluation.conversations import DataSet, LeftOut


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Facts without which figures mean little.

    Attributes:
        data: Name of the data set.
        conversations: How many there are.
        memories: How many turns they have.
        questions: How many questions count.
        left_out: What of the file did not count.
        embedding_model: Whose vectors.
        store: Backend.
        seed: Of resampling and drawing.
        reranker: Kind of the configured cross-encoder; None where there is none.
        not_reranked: Rankings that it should have ordered anew and did not: it failed or was too slow.
    """

    data: str
    conversations: int
    memories: int
    questions: int
    left_out: LeftOut
    embedding_model: str
    store: str
    seed: int
    reranker: str | None
    not_reranked: int


def circumstances(bench: Bench, data: DataSet, *, seed: int) -> Circumstances:
    """Return the facts of a run that has ended."""
    return Circumstances(
        data=data.name,
        conversations=len(data.conversations),
        memories=data.memories,
        questions=data.questions,
        left_out=data.left_out,
        embedding_model=bench.embedder.info.model,
        store=bench.store.capabilities.backend,
        seed=seed,
        reranker=bench.settings.reranker.kind,
        not_reranked=bench.rerank_count.failed,
    )

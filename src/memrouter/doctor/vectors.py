"""Whether the kept vectors are of the configured embedder, whatever the store."""

from collections.abc import Iterator, Mapping

from memrouter.doctor.findings import Finding, broken, warning
from memrouter.embeddings.base import EmbedderInfo
from memrouter.stores.embedding_space import EmbeddingSpace, refusal, under_way


def vector_findings(
    check: str, notes: Mapping[str, str], embedder: EmbedderInfo, *, place: str, instead: str | None = None
) -> Iterator[Finding]:
    """Yield what does not fit, or will not, in what a store wrote down about its vectors.

    Args:
        check: Name of the check.
        notes: What the store wrote down.
        embedder: The configured one.
        place: Names the store.
        instead: How such a store gets vectors of another model, where it cannot be reindexed.
    """
    space = EmbeddingSpace(embedder.model, embedder.dimension)
    refused = refusal(notes, wanted=space, place=place, instead=instead)
    if refused is not None:
        yield broken(
            check,
            refused.seen,
            why="vectors of two models or dimensions cannot be compared; the router refuses to start",
            fix=refused.fix,
        )
        return
    reindex = under_way(notes)
    if reindex is not None:
        yield warning(
            check,
            f"a reindex to {reindex.target} is under way ({reindex.phase})",
            why="when it switches, this configuration does not fit any more",
            fix=f"finish it with: {reindex.target.command}; or give it up with the same command and --abandon",
        )

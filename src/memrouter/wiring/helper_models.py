"""Models that help the memory: they rewrite queries, draw facts from turns and word merged memories."""

from memrouter.config.providers import ModelSettings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.helper_model import HelperModel
from memrouter.memory.retrieval.rewrite import QueryRewriter
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.upkeep.model_writer import ModelWriter
from memrouter.models.turn import ModelChoice
from memrouter.upstream.base import ChatUpstream
from memrouter.wiring.foundation import Foundation


def query_rewriter(base: Foundation, upstream: ChatUpstream, tokens: TokenCounter) -> QueryRewriter | None:
    """Return what rewrites queries; None where no model is meant for it."""
    meant = base.settings.rewriting_model
    if meant is None:
        return None
    return QueryRewriter(
        upstream,
        model=_choice(meant),
        settings=base.settings.memory.query_rewrite,
        tokens=tokens,
        observer=base.metrics,
        clock=base.clock,
    )


def merged_text_writer(
    base: Foundation, upstream: ChatUpstream, tokens: TokenCounter, analyzer: Analyzer
) -> ModelWriter | None:
    """Return what words merged memories; None where no model is meant for it."""
    meant = base.settings.consolidation_model
    if meant is None:
        return None
    return ModelWriter.over(
        upstream, _choice(meant), tokens=tokens, analyzer=analyzer, observer=base.metrics, clock=base.clock
    )


def fact_model(base: Foundation, upstream: ChatUpstream, tokens: TokenCounter) -> HelperModel | None:
    """Return the model that draws facts from turns; None where none is meant for it."""
    meant, settings = base.settings.extraction_model, base.settings.memory.extraction
    if meant is None:
        return None
    return HelperModel(
        upstream,
        model=_choice(meant),
        max_tokens=settings.max_tokens,
        timeout_ms=settings.timeout_ms,
        tokens=tokens,
    )


def _choice(meant: ModelSettings) -> ModelChoice:
    return ModelChoice(meant.name, meant.upstream_name)

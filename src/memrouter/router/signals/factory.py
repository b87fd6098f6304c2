"""Builds the evaluators that a configuration asks for."""

from memrouter.config.routing import SignalSettings
from memrouter.embeddings.base import Embedder
from memrouter.router.signals.authz import AuthzSignals
from memrouter.router.signals.base import SignalEvaluator, TokenCounting
from memrouter.router.signals.board import SignalEvaluators
from memrouter.router.signals.context import ContextSignals
from memrouter.router.signals.conversation import ConversationSignals
from memrouter.router.signals.domain import DomainSignals
from memrouter.router.signals.embedding import EmbeddingSignals
from memrouter.router.signals.keyword import KeywordSignals


def signal_evaluators(settings: SignalSettings, *, embedder: Embedder, tokens: TokenCounting) -> SignalEvaluators:
    """Return an evaluator for every kind that has rules.

    Args:
        settings: The configured rules.
        embedder: Compares the last user message with the candidates of embedding rules.
        tokens: Counts the prompt for context rules.
    """
    evaluators: dict[str, SignalEvaluator] = {}
    if settings.keywords:
        evaluators["keyword"] = KeywordSignals(settings.keywords)
    if settings.embeddings:
        evaluators["embedding"] = EmbeddingSignals(settings.embeddings, embedder=embedder)
    if settings.context:
        evaluators["context"] = ContextSignals(settings.context, tokens=tokens)
    if settings.conversation:
        evaluators["conversation"] = ConversationSignals(settings.conversation)
    if settings.role_bindings:
        evaluators["authz"] = AuthzSignals(settings.role_bindings)
    if settings.domains:
        evaluators["domain"] = DomainSignals(settings.domains)
    return evaluators

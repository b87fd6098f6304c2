"""A configuration gets the evaluators that it needs."""

from collections.abc import Sequence

from memrouter.config.routing import SIGNAL_TYPES, SignalSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.router.signals.board import SignalBoard
from memrouter.router.signals.factory import signal_evaluators
from memrouter.testing.turns import chat_turn


class NoCounter:
    async def count_many(self, texts: Sequence[str]) -> list[int]:
        return [0 for _ in texts]


async def test_every_kind_of_signal_is_evaluated_by_its_configured_name() -> None:
    settings = SignalSettings.model_validate(
        {
            "keywords": [{"name": "k", "keywords": ["hello"]}],
            "embeddings": [{"name": "e", "threshold": 0.9, "candidates": ["hello"]}],
            "context": [{"name": "c", "max_tokens": "1K"}],
            "conversation": [{"name": "v", "feature": {"source": {"type": "turn"}}}],
            "role_bindings": [{"name": "a", "subjects": [{"kind": "User", "name": "ann"}]}],
            "domains": [{"name": "other"}],
        }
    )
    evaluators = signal_evaluators(settings, embedder=HashEmbedder(), tokens=NoCounter())
    assert set(evaluators) == set(SIGNAL_TYPES)
    board = SignalBoard(chat_turn("hello"), evaluators)
    expected = {
        "keyword": True,
        "embedding": True,
        "context": True,
        "conversation": True,
        "authz": False,
        "domain": True,
    }
    assert {kind: await board.matched(kind, settings.names(kind)[0]) for kind in SIGNAL_TYPES} == expected


def test_kind_without_rules_has_no_evaluator() -> None:
    assert signal_evaluators(SignalSettings(), embedder=HashEmbedder(), tokens=NoCounter()) == {}

"""Messages match by nearness of meaning; an embedder in trouble costs the signal, not the chat."""

import asyncio
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from memrouter.config.routing import EmbeddingRule
from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.errors import EmbeddingError
from memrouter.models.memory import Matrix
from memrouter.router.signals.embedding import EmbeddingSignals
from memrouter.testing.turns import chat_turn

ANGLES = {"north": 90, "east": 0, "northeast": 45, "west": 180}


class Compass:
    """Embeds each word of ANGLES as a direction; fails or hangs on demand, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.error: EmbeddingError | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def info(self) -> EmbedderInfo:
        return EmbedderInfo(model="compass", dimension=2, default_threshold=0.5)

    async def embed(self, texts: Sequence[str]) -> Matrix:
        self.asked.append(list(texts))
        await self.gate.wait()
        if self.error:
            raise self.error
        radians = np.radians([ANGLES[text] for text in texts])
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)

    async def aclose(self) -> None:
        """Nothing is open."""


def rule(name: str, *candidates: str, threshold: float, how: str = "max") -> EmbeddingRule:
    return EmbeddingRule.model_validate(
        {"name": name, "candidates": candidates, "threshold": threshold, "aggregation_method": how}
    )


@pytest.mark.parametrize(
    ("how", "threshold", "expected"),
    [
        ("max", 0.70, True),
        ("any", 0.70, True),
        ("max", 0.72, False),
        ("any", 0.72, False),
        ("mean", -0.01, True),
        ("mean", 0.01, False),
    ],
)
async def test_aggregation_decides_which_cosine_counts(how: str, threshold: float, *, expected: bool) -> None:
    signals = EmbeddingSignals([rule("near", "east", "west", threshold=threshold, how=how)], embedder=Compass())
    assert bool(await signals.evaluate(chat_turn("northeast"))) is expected


async def test_every_rule_is_judged_by_its_own_candidates() -> None:
    rules = [
        rule("lateral", "east", "west", threshold=0.9),
        rule("up", "north", threshold=0.9),
        rule("diagonal", "northeast", threshold=0.7),
    ]
    assert await EmbeddingSignals(rules, embedder=Compass()).evaluate(chat_turn("north")) == {"up", "diagonal"}


async def test_equal_text_meets_a_threshold_of_one() -> None:
    text = "device stays dark"
    signals = EmbeddingSignals([rule("same", text, threshold=1.0)], embedder=HashEmbedder(384))
    assert await signals.evaluate(chat_turn(text)) == {"same"}


async def test_candidates_are_embedded_once() -> None:
    embedder = Compass()
    signals = EmbeddingSignals([rule("up", "north", threshold=0.9)], embedder=embedder)
    await asyncio.gather(*(signals.evaluate(chat_turn("east")) for _ in range(5)))
    assert embedder.asked.count(["north"]) == 1
    assert embedder.asked.count(["east"]) == 5


async def test_message_without_words_is_not_embedded() -> None:
    embedder = Compass()
    signals = EmbeddingSignals([rule("up", "north", threshold=-1)], embedder=embedder)
    assert not await signals.evaluate(chat_turn(" \n"))
    assert not await signals.evaluate(chat_turn({"role": "system", "content": "north"}))
    assert embedder.asked == []


async def test_embedded_text_is_bounded() -> None:
    signals = EmbeddingSignals([rule("up", "word", threshold=0.99)], embedder=HashEmbedder())
    assert await signals.evaluate(chat_turn("word " * 2000 + "other " * 100_000)) == {"up"}


async def test_failing_embedder_matches_nothing_logs_once_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    embedder = Compass()
    signals = EmbeddingSignals(
        [rule("up", "north", threshold=0.9), rule("all", "east", threshold=-1)], embedder=embedder
    )
    embedder.error = EmbeddingError("the endpoint answered 500")
    with caplog.at_level(logging.WARNING):
        assert not await signals.evaluate(chat_turn("north"))
    assert len(caplog.records) == 1
    assert "north" not in caplog.text
    embedder.error = None
    assert await signals.evaluate(chat_turn("north")) == {"up", "all"}


async def test_slow_embedder_matches_nothing_and_its_candidates_still_arrive() -> None:
    embedder = Compass()
    embedder.gate.clear()
    signals = EmbeddingSignals([rule("up", "north", threshold=0.9)], embedder=embedder, timeout=0.2)
    assert not await signals.evaluate(chat_turn("north"))
    embedder.gate.set()
    assert await signals.evaluate(chat_turn("north")) == {"up"}
    assert embedder.asked == [["north"], ["north"]]


async def test_request_that_is_given_up_leaves_the_candidates_to_others() -> None:
    embedder = Compass()
    embedder.gate.clear()
    signals = EmbeddingSignals([rule("up", "north", threshold=0.9)], embedder=embedder)
    given_up = asyncio.create_task(signals.evaluate(chat_turn("north")))
    other = asyncio.create_task(signals.evaluate(chat_turn("north")))
    await asyncio.sleep(0)
    given_up.cancel()
    embedder.gate.set()
    assert await other == {"up"}
    assert given_up.cancelled()

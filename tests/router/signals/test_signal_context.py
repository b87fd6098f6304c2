"""Prompts are told apart by their length in tokens."""

from collections.abc import Sequence

import pytest

from memrouter.config.routing import ContextRule
from memrouter.router.signals.context import ContextSignals
from memrouter.testing.turns import chat_turn


class WordCounter:
    async def count_many(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


RULES = [
    ContextRule(name="short", max_tokens=3),
    ContextRule(name="middle", min_tokens=3, max_tokens=5),
    ContextRule(name="long", min_tokens=5),
]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (0, {"short"}),
        (2, {"short"}),
        (3, {"short", "middle"}),
        (4, {"middle"}),
        (5, {"middle", "long"}),
        (5000, {"long"}),
    ],
)
async def test_both_ends_of_a_band_belong_to_it(words: int, expected: set[str]) -> None:
    assert await ContextSignals(RULES, tokens=WordCounter()).evaluate(chat_turn("w " * words)) == expected


async def test_texts_of_all_messages_count() -> None:
    turn = chat_turn(
        {"role": "system", "content": "one two"}, "three", {"role": "assistant", "content": None}, "four five"
    )
    assert await ContextSignals(RULES, tokens=WordCounter()).evaluate(turn) == {"middle", "long"}

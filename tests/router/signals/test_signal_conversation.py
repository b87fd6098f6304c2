"""Conversations are told apart by what they are made of."""

import pytest

from memrouter.config.routing import ConversationRule
from memrouter.models.turn import Turn
from memrouter.router.signals.conversation import ConversationSignals
from memrouter.testing.turns import chat_turn

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
TOOL = {"type": "function", "function": {"name": "f"}}
LOOP = (
    {"role": "system", "content": "s"},
    "first",
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": [PICTURE, {"type": "text", "text": "second"}, PICTURE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "r"},
)


async def matches(turn: Turn, source: dict[str, str], *, predicate: object = None, how: str = "count") -> bool:
    rule = ConversationRule.model_validate(
        {"name": "rule", "feature": {"type": how, "source": source}, "predicate": predicate}
    )
    return await ConversationSignals([rule]).evaluate(turn) == {"rule"}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ({"type": "message"}, 6),
        ({"type": "message", "role": "user"}, 2),
        ({"type": "message", "role": "non_user"}, 4),
        ({"type": "message", "role": "assistant"}, 2),
        ({"type": "message", "role": "tool"}, 1),
        ({"type": "message", "role": "developer"}, 0),
        ({"type": "turn"}, 2),
        ({"type": "tool_definition"}, 3),
        ({"type": "active_tool_loop"}, 1),
        ({"type": "image_content"}, 2),
    ],
)
async def test_each_source_counts_what_it_names(source: dict[str, str], count: int) -> None:
    turn = chat_turn(*LOOP, tools=[TOOL] * 3)
    assert await matches(turn, source, predicate={"gte": count, "lte": count})
    assert await matches(turn, source) is (count >= 1)
    assert await matches(turn, source, how="exists") is (count >= 1)


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ({"gt": 1}, True),
        ({"gt": 2}, False),
        ({"gte": 2}, True),
        ({"gte": 2.5}, False),
        ({"lt": 3}, True),
        ({"lt": 2}, False),
        ({"lte": 2}, True),
        ({"lte": 1}, False),
        ({"gt": 1, "lt": 2}, False),
        ({}, True),
    ],
)
async def test_all_bounds_must_hold(predicate: dict[str, float], *, expected: bool) -> None:
    assert await matches(chat_turn("one", "two"), {"type": "turn"}, predicate=predicate) is expected


async def test_bounds_without_a_value_mean_at_least_one() -> None:
    assert not await matches(chat_turn("one"), {"type": "tool_definition"}, predicate={})


async def test_tool_loop_is_over_once_somebody_else_speaks() -> None:
    assert not await matches(chat_turn(*LOOP, "thanks"), {"type": "active_tool_loop"})


async def test_existence_ignores_bounds() -> None:
    assert await matches(chat_turn("one"), {"type": "turn"}, predicate={"gt": 5}, how="exists")

"""A route's system prompt goes in front of the client's, or in its place, and nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.routing import DecisionSettings, SystemPromptSettings
from memrouter.models.turn import Turn
from memrouter.router.builtin.system_prompt import SystemPrompt
from memrouter.testing.turns import chat_turn

PROMPT = 'Be "brief".'


def said(role: str, content: object = "words") -> dict[str, Any]:
    return {"role": role, "content": content}


def plugin(**settings: object) -> SystemPrompt:
    return SystemPrompt({"route": SystemPromptSettings.model_validate({"system_prompt": PROMPT, **settings})})


def sent(turn: Turn) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(turn.draft.render())["messages"]
    return messages


async def sent_with(*messages: object, **settings: object) -> list[dict[str, Any]]:
    turn = chat_turn(*messages, decision="route")
    await plugin(**settings).before_upstream(turn)
    return sent(turn)


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_prompt_goes_in_front_of_the_clients_own(role: str) -> None:
    assert await sent_with(said(role, "own"), "q") == [said(role, f"{PROMPT}\n\nown"), said("user", "q")]


async def test_prompt_becomes_a_first_text_part_of_a_list() -> None:
    parts = [{"type": "text", "text": "own"}]
    first = (await sent_with(said("system", parts), "q"))[0]
    assert first["content"] == [{"type": "text", "text": f"{PROMPT}\n\n"}, *parts]


@pytest.mark.parametrize("content", [None, ""])
async def test_empty_system_message_becomes_the_prompt(content: str | None) -> None:
    assert (await sent_with(said("system", content), "q"))[0] == said("system", PROMPT)


@pytest.mark.parametrize("mode", ["insert", "replace"])
async def test_prompt_comes_first_where_the_client_has_none(mode: str) -> None:
    assert await sent_with("q", said("assistant"), mode=mode) == [
        said("system", PROMPT),
        said("user", "q"),
        said("assistant"),
    ]


async def test_later_system_message_does_not_count_as_leading() -> None:
    assert await sent_with("q", said("system")) == [said("system", PROMPT), said("user", "q"), said("system")]


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("su", "Su"),
        ("ssu", "Su"),
        ("dsu", "Du"),
        ("s", "S"),
        ("sds", "S"),
        ("sus", "Su"),
        ("usss", "uS"),
        ("susuds", "Suu"),
        ("usuds", "uSu"),
    ],
)
async def test_replacing_leaves_one_system_message_where_the_first_stood(roles: str, expected: str) -> None:
    words = {"s": "system", "d": "developer", "u": "user"}
    result = await sent_with(*(said(words[letter]) for letter in roles), mode="replace")
    assert result == [said(words[letter.lower()], PROMPT if letter.isupper() else "words") for letter in expected]


@given(st.lists(st.sampled_from(["system", "developer", "user", "assistant"]), min_size=1, max_size=8))
async def test_replacing_keeps_every_other_message_in_order(roles: list[str]) -> None:
    messages = [said(role, f"{index}") for index, role in enumerate(roles)]
    result = await sent_with(*messages, mode="replace")
    others = [message for message in messages if message["role"] not in {"system", "developer"}]
    assert [message for message in result if message["content"] != PROMPT] == others
    assert len(result) == len(others) + 1


@pytest.mark.parametrize("mode", ["insert", "replace"])
@pytest.mark.parametrize("settings", [{"enabled": False}, {"system_prompt": ""}, {"system_prompt": " \n"}])
async def test_nothing_changes_where_switched_off_or_blank(mode: str, settings: dict[str, object]) -> None:
    turn = chat_turn(said("system"), "q", decision="route")
    await plugin(mode=mode, **settings).before_upstream(turn)
    assert turn.draft.render() is turn.request.body


@pytest.mark.parametrize("decision", ["", "other"])
async def test_other_routes_are_left_alone(decision: str) -> None:
    turn = chat_turn("q", decision=decision)
    await plugin().before_upstream(turn)
    assert turn.draft.render() is turn.request.body


async def test_decisions_bring_their_own_settings() -> None:
    decisions = [
        DecisionSettings.model_validate(
            {"name": name, "plugins": [{"type": "system_prompt", "configuration": {"system_prompt": name}}]}
        )
        for name in ("one", "two")
    ]
    turn = chat_turn("q", decision="two")
    await SystemPrompt.from_decisions([*decisions, DecisionSettings(name="three")]).before_upstream(turn)
    assert sent(turn)[0] == said("system", "two")

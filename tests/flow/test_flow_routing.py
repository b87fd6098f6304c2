"""Which model answers, and how a client asks for it."""

import openai
import pytest

from memrouter.testing.upstream import ScriptedUpstream

from .servers import Caller

SAID = "Tell me something about my canary that I did not know before."


@pytest.mark.parametrize("name", ["auto", "MoM", "AUTO", "mom"])
async def test_the_decision_chooses_for_a_client_that_leaves_it_open(
    alice: Caller, upstream: ScriptedUpstream, name: str
) -> None:
    answer = await alice.having(x_authz_user_groups="shaped").chat(SAID, model=name)
    assert answer.headers["x-vsr-selected-model"] == "renamed"
    assert upstream.requests[-1].json()["model"] == "vendor/renamed-7b"


async def test_a_known_name_is_honoured_and_still_gets_the_routes_plugins(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    answer = await alice.having(x_authz_user_groups="shaped").chat(SAID, model="scripted")
    assert answer.headers["x-vsr-selected-model"] == "scripted"
    assert upstream.requests[-1].json()["model"] == "scripted"
    assert upstream.requests[-1].header("x-tenant") == "blue"


async def test_the_default_model_answers_where_the_decision_names_none(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    answer = await alice.having(x_authz_user_groups="replaced").chat(SAID, model="auto")
    assert answer.headers["x-vsr-selected-model"] == "scripted"


async def test_an_unknown_model_is_not_found(alice: Caller, upstream: ScriptedUpstream) -> None:
    with pytest.raises(openai.NotFoundError, match="did you mean `scripted`") as caught:
        await alice.openai.chat.completions.create(model="scriptd", messages=[{"role": "user", "content": SAID}])
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert upstream.requests == []


async def test_the_models_are_listed_and_shown(alice: Caller) -> None:
    names = [model.id async for model in alice.openai.models.list()]
    assert names == ["auto", "MoM", "scripted", "renamed", "private", "twin", "keyed", "qwen3"]
    assert (await alice.openai.models.retrieve("qwen3")).id == "qwen3"
    with pytest.raises(openai.NotFoundError):
        await alice.openai.models.retrieve("qwen4")


async def test_tools_come_back_through_the_official_client(alice: Caller) -> None:
    answer = await alice.openai.chat.completions.create(
        model="qwen3",
        messages=[{"role": "user", "content": SAID}],
        tools=[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    names = [call.function.name for call in answer.choices[0].message.tool_calls or () if call.type == "function"]
    assert names == ["weather"]

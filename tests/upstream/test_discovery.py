"""An upstream is asked for its models, and a refusal says what to do."""

import pytest

from memrouter.errors import ConfigError
from memrouter.testing.upstream import Answer, ScriptedUpstream
from memrouter.upstream.discovery import discover_models


async def test_models_are_those_the_upstream_names() -> None:
    async with ScriptedUpstream(Answer.json({"object": "list", "data": [{"id": "a", "x": 1}, {"id": "b"}]})) as server:
        assert await discover_models(server.url + "/") == ["a", "b"]
        assert server.requests[0].target == "/v1/models"
        assert server.requests[0].header("authorization") is None


async def test_a_key_is_sent_as_a_bearer_token() -> None:
    async with ScriptedUpstream(Answer.json({"data": [{"id": "a"}]})) as server:
        await discover_models(server.url, api_key="k")
        assert server.requests[0].header("authorization") == "Bearer k"


@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(401),
        Answer.json({"data": []}),
        Answer.json({"data": [{"name": "a"}]}),
        Answer.json([1]),
    ],
)
async def test_an_unusable_answer_names_the_way_out(answer: Answer) -> None:
    async with ScriptedUpstream(answer) as server:
        with pytest.raises(ConfigError, match="--model NAME"):
            await discover_models(server.url)


async def test_a_server_that_is_not_there_names_the_way_out() -> None:
    server = ScriptedUpstream()
    await server.start()
    url = server.url
    await server.aclose()
    with pytest.raises(ConfigError, match="Start the model server first"):
        await discover_models(url)


async def test_a_url_that_is_none_names_the_way_out() -> None:
    with pytest.raises(ConfigError, match="--upstream"):
        await discover_models("not a url")

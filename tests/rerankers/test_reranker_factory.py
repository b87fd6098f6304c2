"""Which reranker the configuration means."""

import pytest

from memrouter.config.reranking import RerankerSettings
from memrouter.errors import ConfigError
from memrouter.rerankers.endpoint import EndpointReranker
from memrouter.rerankers.factory import open_reranker
from memrouter.testing.upstream import Answer, ScriptedUpstream


async def test_by_default_there_is_none() -> None:
    assert await open_reranker(RerankerSettings(), env={}) is None


async def test_the_key_comes_from_the_environment() -> None:
    answer = Answer.json({"results": [{"index": 0, "relevance_score": 1}]})
    async with ScriptedUpstream(answer) as server:
        settings = RerankerSettings(kind="endpoint", base_url=server.url, model="m", api_key_env="RERANK_KEY")
        reranker = await open_reranker(settings, env={"RERANK_KEY": " sk-1\n"})
        assert isinstance(reranker, EndpointReranker)
        await reranker.score("q", ["a"])
        await reranker.aclose()
        assert server.requests[0].header("authorization") == "Bearer sk-1"


@pytest.mark.parametrize("env", [{}, {"RERANK_KEY": " "}])
async def test_a_missing_key_is_refused_by_its_variable(env: dict[str, str]) -> None:
    settings = RerankerSettings(kind="endpoint", base_url="http://h/v1", model="m", api_key_env="RERANK_KEY")
    with pytest.raises(ConfigError, match="Set RERANK_KEY"):
        await open_reranker(settings, env=env)


async def test_a_folder_without_a_model_is_refused(tmp_path: object) -> None:
    with pytest.raises(ConfigError):
        await open_reranker(RerankerSettings(kind="onnx", path=str(tmp_path)), env={})

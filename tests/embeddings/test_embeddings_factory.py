import logging
import sys
from typing import Any

import pytest
from tokenizers import Tokenizer

from memrouter.config.memory import MemorySettings
from memrouter.embeddings.factory import open_embedder
from memrouter.errors import ConfigError, MissingExtra


def memory(model: str = "hash", **sections: Any) -> MemorySettings:
    return MemorySettings.model_validate({"embedding_model": model, **sections})


@pytest.mark.parametrize(
    ("model", "name", "dimension"),
    [("wordllama", "wordllama-l2-supercat-256", 256), ("hash", "hash-64", 64), ("openai", "served", 1536)],
)
async def test_each_model_opens_with_its_own_dimension(
    model: str, name: str, dimension: int, tokenizer: Tokenizer
) -> None:
    settings = memory(model, embedding_endpoint={"model": "served"})
    embedder = await open_embedder(settings, env={}, tokenizer=tokenizer)
    assert (embedder.info.model, embedder.info.dimension) == (name, dimension)
    await embedder.aclose()


async def test_texts_are_cached() -> None:
    embedder = await open_embedder(memory(), env={})
    await embedder.embed(["a"])
    await embedder.embed(["a"])
    assert (embedder.hits, embedder.misses) == (1, 1)


async def test_the_size_of_the_cache_comes_from_the_limits() -> None:
    embedder = await open_embedder(memory(limits={"embedding_cache_entries": 0}), env={})
    await embedder.embed(["a"])
    await embedder.embed(["a"])
    assert embedder.hits == 0


async def test_the_environment_wins_over_the_configuration() -> None:
    embedder = await open_embedder(memory("qwen3"), env={"MEMROUTER_EMBEDDING_MODEL": "hash"})
    assert embedder.info.model == "hash-64"


@pytest.mark.parametrize("name", ["mmbert", "qwen3", "gemma", "multimodal"])
async def test_models_of_the_go_router_are_refused_with_the_ways_out(name: str) -> None:
    with pytest.raises(ConfigError, match=r"Go router.*embedding_model: openai.*MEMROUTER_EMBEDDING_MODEL=wordllama"):
        await open_embedder(memory(name), env={})


async def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'nonsense'; allowed: wordllama, openai"):
        await open_embedder(memory("nonsense"), env={})
    with pytest.raises(ConfigError, match="<environment>: MEMROUTER_EMBEDDING_MODEL: found 'nonsense'"):
        await open_embedder(memory(), env={"MEMROUTER_EMBEDDING_MODEL": "nonsense"})


@pytest.mark.parametrize(
    ("model", "package"), [("bert", "fastembed"), ("sentence-transformers", "sentence_transformers")]
)
async def test_a_model_without_its_packages_names_the_extra(
    model: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra) as missing:
        await open_embedder(memory(model), env={})
    assert missing.value.extra == model


async def test_a_larger_dimension_is_padded_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="memrouter")
    embedder = await open_embedder(memory(), env={}, dimension=100)
    for text in ("a", "b"):
        assert (await embedder.embed([text])).shape == (1, 100)
    assert [record.levelname for record in caplog.records if "padded" in record.message] == ["INFO"]
    assert (embedder.info.model, embedder.info.dimension) == ("hash-64", 100)


async def test_the_same_dimension_is_neither_padded_nor_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="memrouter")
    assert (await open_embedder(memory(), env={}, dimension=64)).info.dimension == 64
    assert caplog.records == []


async def test_a_smaller_dimension_is_refused_with_the_fix() -> None:
    settings = memory(valkey={"dimension": 32})
    with pytest.raises(ConfigError, match=r"memory\.valkey\.dimension: found 32; allowed: 64 .*Leave dimension out"):
        await open_embedder(settings, env={}, dimension=32)


@pytest.mark.parametrize(
    "url", ["", "localhost:8000/v1", "ftp://host/v1", "http://", "http://u:p@host/v1", "http://[x"]
)
async def test_an_address_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url: found an address that cannot be used"):
        await open_embedder(memory("openai", embedding_endpoint={"base_url": url}), env={})


async def test_the_key_comes_from_the_named_variable() -> None:
    settings = memory("openai", embedding_endpoint={"api_key_env": "EMBED_KEY"})
    await (await open_embedder(settings, env={"EMBED_KEY": "k"})).aclose()
    with pytest.raises(ConfigError, match="Set EMBED_KEY"):
        await open_embedder(settings, env={})


@pytest.mark.parametrize("key", ["secret\nx-header: 1", "sécret"])
async def test_a_key_that_no_header_may_have_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await open_embedder(memory("openai", embedding_endpoint={"api_key": key}), env={})
    assert "cret" not in str(refused.value)

"""An embedder is found by the configuration's word for it, and by the name that stores write down."""

import pytest

from memrouter.config.memory import MemorySettings, ValkeySettings
from memrouter.embeddings.named import open_named_embedder
from memrouter.errors import ConfigError


def settings(**changes: object) -> MemorySettings:
    return MemorySettings.model_validate(changes)


@pytest.mark.parametrize(
    ("name", "word", "model"),
    [
        ("wordllama", "wordllama", "wordllama-l2-supercat-256"),
        ("wordllama-l2-supercat-256", "wordllama", "wordllama-l2-supercat-256"),
        ("hash", "hash", "hash-64"),
        ("hash-64", "hash", "hash-64"),
        ("openai", "openai", "served-model"),
        ("served-model", "openai", "served-model"),
    ],
)
async def test_both_kinds_of_names_are_understood(name: str, word: str, model: str) -> None:
    memory = settings(embedding_model="bert", embedding_endpoint={"model": "served-model", "dimension": 8})
    named = await open_named_embedder(memory, name, env={})
    assert (named.word, named.embedder.info.model) == (word, model)
    await named.embedder.aclose()


async def test_the_name_counts_and_not_the_environment() -> None:
    named = await open_named_embedder(settings(), "hash", env={"MEMROUTER_EMBEDDING_MODEL": "wordllama"})
    assert named.embedder.info.model == "hash-64"
    await named.embedder.aclose()


@pytest.mark.parametrize("name", ["no-such-model", "", "HASH"])
async def test_an_unknown_name_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"--embedding-model: found .*allowed: wordllama, .*hash-64 \(as configured\)"
    ):
        await open_named_embedder(settings(embedding_model="hash"), name, env={})


@pytest.mark.parametrize(
    ("store", "asked", "dimension"), [(None, None, 64), (100, None, 100), (32, None, 64), (100, 80, 80), (None, 80, 80)]
)
async def test_the_dimension_is_as_asked_or_as_the_store_is_set_where_that_is_enough(
    store: int | None, asked: int | None, dimension: int
) -> None:
    memory = settings(backend="valkey", valkey=ValkeySettings(dimension=store).model_dump())
    named = await open_named_embedder(memory, "hash", env={}, dimension=asked)
    assert named.embedder.info.dimension == dimension
    assert (await named.embedder.embed(["one", "two"])).shape == (2, dimension)
    await named.embedder.aclose()


async def test_a_dimension_smaller_than_the_models_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"64 \(the dimension of hash-64\) or more"):
        await open_named_embedder(settings(backend="valkey", valkey={}), "hash", env={}, dimension=32)


async def test_a_file_takes_its_dimension_from_the_model_and_from_nothing_else() -> None:
    with pytest.raises(ConfigError, match=r"--dimension: found 80; allowed: 64 \(the dimension of hash-64\)\."):
        await open_named_embedder(settings(backend="sqlite"), "hash", env={}, dimension=80)

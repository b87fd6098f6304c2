"""A move to another store is checked before the router starts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from memrouter.config.load import load_settings
from memrouter.config.memory import MemorySettings
from memrouter.errors import ConfigError


def loaded(folder: Path, memory: dict[str, Any]) -> MemorySettings:
    file = folder / "router.yaml"
    models = [{"name": "m", "backend_refs": [{"endpoint": "127.0.0.1:9"}]}]
    file.write_text(
        yaml.safe_dump({"version": "v0.3", "providers": {"models": models}, "global": {"stores": {"memory": memory}}})
    )
    return load_settings(file, env={}).settings.memory


def test_without_a_migration_there_is_no_target(tmp_path: Path) -> None:
    assert loaded(tmp_path, {}).migration_target is None


def test_the_target_has_its_own_store_and_shares_everything_else(tmp_path: Path) -> None:
    to = {"backend": "valkey", "valkey": {"host": "there"}}
    target = loaded(tmp_path, {"embedding_model": "hash", "timeout_ms": 77, "migration": {"to": to}}).migration_target
    assert target is not None
    assert (target.effective_backend, target.valkey and target.valkey.host) == ("valkey", "there")
    assert (target.embedding_model, target.timeout_ms, target.migration) == ("hash", 77, None)


def test_the_target_s_backend_follows_from_its_blocks(tmp_path: Path) -> None:
    memory = {"backend": "valkey", "valkey": {}, "migration": {"to": {"milvus": {"address": "there:19530"}}}}
    target = loaded(tmp_path, memory).migration_target
    assert target is not None
    assert target.effective_backend == "milvus"


@pytest.mark.parametrize(
    ("memory", "to"),
    [
        ({}, {"sqlite": {"path": "memrouter.db"}}),
        ({"sqlite": {"path": "a.db"}}, {"backend": "sqlite", "sqlite": {"path": "./a.db"}}),
        ({"valkey": {"host": "Here"}}, {"valkey": {"host": "here", "index_name": "another"}}),
        ({"milvus": {"address": "a:1"}}, {"milvus": {"address": "a:1"}}),
    ],
)
def test_a_store_cannot_move_to_itself(tmp_path: Path, memory: dict[str, Any], to: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, {**memory, "migration": {"to": to}})
    (problem,) = refused.value.problems
    assert problem.key == "global.stores.memory.migration.to"
    assert "another place" in problem.allowed
    assert problem.line is not None


def test_vectors_of_another_length_cannot_be_copied(tmp_path: Path) -> None:
    memory = {"valkey": {"dimension": 384}, "migration": {"to": {"milvus": {"dimension": 256}}}}
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, memory)
    (problem,) = refused.value.problems
    assert problem.key == "global.stores.memory.migration.to.milvus.dimension"
    assert "384" in problem.allowed
    assert "memrouter migrate" in problem.hint


def test_unknown_keys_of_the_target_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, {"migration": {"to": {"valky": {}}}})
    assert "valkey" in str(refused.value)

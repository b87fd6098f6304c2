import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from memrouter.cli.config import config_app

DATA = Path(__file__).parent.parent / "config" / "data"
GOOD = str(DATA / "memrouter.yaml")


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(config_app, list(args), env={"MEMROUTER_EMBEDDING_MODEL": None, **env})


def test_a_good_file_is_valid() -> None:
    result = run("validate", GOOD)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{GOOD}: valid\n", "")


def test_warnings_stand_below_the_verdict_each_on_one_line() -> None:
    result = run("validate", str(DATA / "go_router.yaml"))
    verdict, warning = result.stdout.splitlines()
    assert result.exit_code == 0
    assert verdict.endswith(": valid")
    assert "routing.decisions[].tier" in warning


def test_every_problem_is_one_line_on_stderr_and_the_exit_status_is_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("listeners: [{port: x}]\nproviders: {modles: []}\nversion: v9\n")
    result = run("validate", str(path))
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [re.match(rf"{re.escape(str(path))}:(\d): ", line)[1] for line in lines] == ["1", "2", "3"]  # type: ignore[index]  # no match fails the test as well
    assert lines[1].endswith("allowed: defaults, models. Did you mean 'models'?")


def test_a_missing_file_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    for command in ("validate", "show"):
        result = run(command, str(tmp_path / "absent.yaml"))
        assert result.exit_code == 2
        assert "cannot be read" in result.stderr


def test_the_effective_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("global: {stores: {memory: {valkey: {password: '${PW}', port: 7000}, qdrant: {port: 1}}}}\n")
    result = run("show", str(path), PW="hunter2", MEMROUTER_EMBEDDING_MODEL="hash")
    assert result.exit_code == 0
    memory = yaml.safe_load(result.stdout)["global"]["stores"]["memory"]
    assert (memory["valkey"]["password"], memory["valkey"]["port"]) == ("**********", 7000)
    assert memory["embedding_model"] == "hash"
    assert "global.stores.memory.qdrant" in result.stderr
    assert "hunter2" not in result.output


def test_without_a_file_the_defaults_are_shown() -> None:
    assert yaml.safe_load(run("show").stdout)["listeners"][0]["port"] == 8888


def test_the_schema_is_json() -> None:
    result = run("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["properties"]["global"]


def test_the_environments_embedding_model_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMROUTER_EMBEDDING_MODEL", "nonsense")
    result = CliRunner().invoke(config_app, ["validate", GOOD])
    assert result.exit_code == 2
    assert result.stderr.startswith("<environment>: global.stores.memory.embedding_model: found 'nonsense'")

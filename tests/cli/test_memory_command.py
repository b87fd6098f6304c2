"""``memrouter memory``: on a store of this machine, and through a running router."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from memrouter.cli.main import app
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import Scope
from memrouter.runtime import Runtime

from .memory_commands import ANN, BAKER, CAT, PIN, QUESTION, filled, parsed, run, served


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose store holds memories; the model's key is known to the router only."""
    folder = tmp_path_factory.mktemp("memory-command")
    backend = {"base_url": "http://127.0.0.1:1/v1", "api_key_env": "A_KEY_THAT_OPERATORS_DO_NOT_HAVE"}
    memory = {
        "sqlite": {"path": str(folder / "m.db")},
        "adaptive_threshold": False,
        "reflection": {"block_patterns": ["(?i)pin"]},
    }
    data = {
        "version": "v0.3",
        "providers": {"models": [{"name": "m", "backend_refs": [backend]}]},
        "global": {"stores": {"memory": memory}},
    }
    file = folder / "router.yaml"
    file.write_text(yaml.safe_dump(data))
    asyncio.run(filled(file))
    return file


@pytest.fixture(scope="module")
def url(config: Path) -> Iterator[str]:
    with served(config) as address:
        yield address


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, config: Path) -> list[str]:
    """The options that say where the memories are."""
    return ["--config", str(config)] if request.param == "local" else ["--url", request.getfixturevalue("url")]


def test_a_search_finds_one_user_s_memories(place: list[str]) -> None:
    found = parsed(run("search", QUESTION, *ANN, *place, "--threshold", "0.6", "--limit", "1", "--json"))
    assert [memory["content"] for memory in found["memories"]] == [CAT]
    assert (found["threshold"], found["considered"], found["candidates"]) == (0.6, 3, None)


def test_an_explanation_shows_every_candidate_and_why_it_was_dropped(place: list[str]) -> None:
    every = parsed(run("search", QUESTION, *ANN, *place, "--threshold", "0", "--explain", "--json"))["candidates"]
    scores = {each["content"]: each["score"] for each in every}
    assert scores[BAKER] < min(scores[CAT], scores[PIN])
    threshold = (scores[BAKER] + min(scores[CAT], scores[PIN])) / 2
    words = ["search", QUESTION, *ANN, *place, "--threshold", str(threshold), "--explain"]
    found = parsed(run(*words, "--json"))
    assert {each["content"]: each["dropped"] for each in found["candidates"]} == {
        CAT: None,
        PIN: "blocked",
        BAKER: "threshold",
    }
    lines = run(*words).stdout.splitlines()
    assert sorted(line.split("\t")[0] for line in lines[:3]) == ["-", "-", "1"]
    for end in (f"{CAT}\t", f"{PIN}\ta block pattern matches", f"{BAKER}\tbelow the threshold"):
        assert [line.endswith(end) for line in lines[:3]].count(True) == 1
    assert f"threshold {threshold:.3f}" in lines[3]


def test_a_search_without_success_names_the_near_miss(place: list[str]) -> None:
    words = ["search", "quantum chromodynamics", *ANN, *place, "--threshold", "0.95"]
    plain = run(*words).stdout
    assert "nothing reached the threshold; the best has 0." in plain
    explained = run(*words, "--explain").stdout
    assert "nothing reached the threshold; the nearest, mem_" in explained
    assert "fell short by" in explained


def test_memories_are_listed_page_by_page_and_shown(place: list[str]) -> None:
    first = parsed(run("list", *ANN, *place, "--limit", "2", "--json"))
    assert (len(first["memories"]), first["total"]) == (2, 3)
    second = parsed(run("list", *ANN, *place, "--limit", "2", "--cursor", first["next_cursor"], "--json"))
    assert len(second["memories"]) == 1
    assert "3 of 3" in run("list", *ANN, *place).stdout
    assert f"more with --cursor {first['next_cursor']}" in run("list", *ANN, *place, "--limit", "2").stdout
    memory = second["memories"][0]
    assert parsed(run("show", memory["id"], *ANN, *place, "--json")) == memory
    assert f"content: {memory['content']}" in run("show", memory["id"], *ANN, *place).stdout
    assert parsed(run("list", *ANN, *place, "--type", "episodic", "--json"))["memories"] == []


def test_another_user_s_memory_is_as_if_absent(place: list[str]) -> None:
    memory = parsed(run("list", *ANN, *place, "--json"))["memories"][0]["id"]
    for words in (["show", memory], ["forget", memory, "--yes"]):
        result = run(*words, "--user", "bob", *place)
        assert result.exit_code == 2
        assert "no memory has this id" in result.stderr
    assert parsed(run("list", *ANN, *place, "--json"))["total"] == 3


def test_forgetting_asks_first_and_then_removes_for_good(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    memory = {"sqlite": {"path": str(tmp_path / "m.db")}, "embedding_model": "hash"}
    file.write_text(yaml.safe_dump({"version": "v0.3", "global": {"stores": {"memory": memory}}}))
    asyncio.run(filled(file))
    local = ["--config", str(file)]
    name = parsed(run("list", *ANN, *local, "--json"))["memories"][0]["id"]
    refused = CliRunner().invoke(app, ["memory", "forget", name, *ANN, *local], input="n\n")
    assert refused.exit_code == 1
    assert parsed(run("list", *ANN, *local, "--json"))["total"] == 3
    assert run("forget", name, *ANN, *local, "--yes").exit_code == 0
    with served(file) as address:
        assert parsed(run("list", *ANN, "--url", address, "--json"))["total"] == 2
        rest = parsed(run("list", *ANN, "--url", address, "--json"))["memories"]
        assert run("forget", rest[0]["id"], *ANN, "--url", f"{address}/v1/", "--yes").exit_code == 0
    assert parsed(run("list", *ANN, *local, "--json"))["total"] == 1


def test_headers_say_who_is_asking(url: str) -> None:
    found = parsed(run("list", "--url", url, "--header", "X-Authz-User-Id: Ann", "--json"))
    assert [memory["user_id"] for memory in found["memories"]] == ["Ann"]
    nobody = run("list", "--url", url)
    assert nobody.exit_code == 2
    assert "status 401" in nobody.stderr


def test_another_project_has_other_memories(place: list[str]) -> None:
    assert parsed(run("list", *ANN, "--project", "work", *place, "--json"))["total"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", QUESTION], "name the user"),
        (["search", " ", *ANN], "visible character"),
        (["search", QUESTION, *ANN, "--threshold", "2"], "--threshold: Input should be less than or equal to 1"),
        (["search", QUESTION, *ANN, "--limit", "0"], "--limit: Input should be greater than or equal to 1"),
        (["search", QUESTION, *ANN, "--url", "http://h", "--config", "x.yaml"], "configuration of its own"),
        (["search", QUESTION, *ANN, "--url", "http://h", "--header", "nonsense"], "NAME: VALUE"),
    ],
)
def test_a_wrong_command_line_is_told(words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("\u2502", " ").split())


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    path = tmp_path / "m.db"
    file.write_text(
        yaml.safe_dump({"version": "v0.3", "global": {"stores": {"memory": {"sqlite": {"path": str(path)}}}}})
    )
    result = run("search", QUESTION, *ANN, "--config", str(file))
    assert result.exit_code == 2
    assert "where there is no file" in result.stderr
    assert not path.exists()


def test_memory_that_is_switched_off_is_told(config: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(config.read_text())
    data["global"]["stores"]["memory"]["enabled"] = False
    file = tmp_path / "off.yaml"
    file.write_text(yaml.safe_dump(data))
    result = run("search", QUESTION, *ANN, "--config", str(file))
    assert result.exit_code == 2
    assert "memory.enabled" in result.stderr


def test_a_router_that_is_not_there_is_told_on_one_line() -> None:
    result = run("search", QUESTION, *ANN, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "no answer from the router" in result.stderr


def test_a_content_cannot_steer_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    memory = {"sqlite": {"path": str(tmp_path / "m.db")}, "embedding_model": "hash"}
    file.write_text(yaml.safe_dump({"version": "v0.3", "global": {"stores": {"memory": memory}}}))

    async def add(runtime: Runtime) -> None:
        assert runtime.memory is not None
        await runtime.memory.remember(Scope("eve"), [MemoryDraft("a\u202eb\u2066c\n\td [red]e[/red]")])

    asyncio.run(filled(file, add))
    shown = run("quarantine", "list", "--user", "eve", "--config", str(file)).stdout
    assert shown.split("\t")[3:] == ["hidden_text", "a b c d [red]e[/red]\n1 of 1\n"]

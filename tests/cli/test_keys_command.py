"""``memrouter keys``: a key is shown once, works, is listed without its secret, and is revoked."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from memrouter.api.identity.api_key import read_key
from memrouter.api.identity.key_file import KeyFile
from memrouter.cli.main import app


class Keys:
    """Runs the commands with a configuration in a folder of its own."""

    def __init__(self, folder: Path, *, in_file: bool, mode: str = "api_key") -> None:
        self.file, self.config = folder / "keys.yaml", folder / "router.yaml"
        where = {"file": str(self.file)} if in_file else {}
        memory = {"embedding_model": "hash", "sqlite": {"path": str(folder / "memories.db")}}
        auth = {"mode": mode, "api_keys": where}
        self.config.write_text(yaml.safe_dump({"global": {"auth": auth, "stores": {"memory": memory}}}))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["keys", *words, "--config", str(self.config)])

    def create(self, *words: str) -> tuple[str, str]:
        """Return id and secret of a new key."""
        result = self.run("create", *words)
        assert result.exit_code == 0, result.output
        found = read_key(result.stdout.strip())
        assert found is not None
        return found


@pytest.fixture(params=[True, False], ids=["file", "store"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys:
    return Keys(tmp_path, in_file=request.param)


def test_a_key_is_shown_once_and_listed_without_its_secret(keys: Keys) -> None:
    key_id, secret = keys.create("--user", "alice", "--name", "laptop", "--expires", "90d", "--group", "staff")
    service, _ = keys.create("--service", "--acts-for", "team-*", "--scope", "chat", "--scope", "operator")
    listed = keys.run("list")
    assert secret not in listed.output
    first, second = listed.stdout.splitlines()
    assert first.split("  ")[:3] == [key_id, "user alice", "chat+memory"]
    assert "expires " in first
    assert first.endswith("laptop")
    assert second.split("  ")[:3] == [service, "service for team-*", "chat+operator"]
    facts = json.loads(keys.run("list", "--json").stdout)["keys"]
    assert [fact["id"] for fact in facts] == [key_id, service]
    assert "sha256" not in facts[0]
    assert facts[0]["groups"] == ["staff"]


def test_the_json_of_a_new_key_holds_it(keys: Keys) -> None:
    made = json.loads(keys.run("create", "--user", "alice", "--project", "work", "--json").stdout)
    found = read_key(made["key"])
    assert found is not None
    assert (made["id"], made["user"], made["project"]) == (found[0], "alice", "work")


def test_a_revoked_key_is_gone(keys: Keys) -> None:
    key_id, _ = keys.create("--user", "alice")
    assert keys.run("revoke", key_id).exit_code == 0
    assert keys.run("list").stdout == "there are no keys\n"
    for unknown in (key_id, "x", "../../etc/passwd", "a b", "a" * 300):
        result = keys.run("revoke", unknown)
        assert (result.exit_code, "memrouter keys list" in result.output) == (2, True)


def test_only_the_hash_is_kept(tmp_path: Path) -> None:
    keys = Keys(tmp_path, in_file=True)
    key_id, secret = keys.create("--user", "alice")
    assert secret not in keys.file.read_text()
    assert KeyFile(keys.file).load()[key_id].proves(secret)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "either --user USER or --service"),
        (["--user", "alice", "--service"], "either --user USER or --service"),
        (["--user", ""], "is empty"),
        (["--user", "a" * 257], "257"),
        (["--service", "--project", "p"], "project and groups"),
        (["--user", "alice", "--acts-for", "b"], "acts_for"),
        (["--user", "alice", "--expires", "soon"], "duration"),
        (["--user", "alice", "--expires", "0s"], "90d"),
        (["--user", "alice", "--expires", "9999999999d"], "too far"),
        (["--user", "alice", "--scope", "everything"], "scope"),
        (["--user", "alice", "--name", "a\nb"], "printable"),
    ],
)
def test_a_key_that_cannot_be_is_not_made(tmp_path: Path, words: list[str], said: str) -> None:
    keys = Keys(tmp_path, in_file=True)
    result = keys.run("create", *words)
    assert result.exit_code == 2
    assert said in result.output.replace("\n", " ")
    assert not keys.file.exists()


def test_keys_that_nothing_believes_yet_are_made_with_a_note(tmp_path: Path) -> None:
    result = Keys(tmp_path, in_file=True, mode="trusted_header").run("create", "--user", "alice")
    assert result.exit_code == 0
    assert "auth.mode trusted_header, in which no key is believed" in result.stderr


def test_a_list_without_a_file_or_store_names_the_way_out(keys: Keys) -> None:
    result = keys.run("list")
    assert result.exit_code == 2
    assert "memrouter keys create" in result.output or "--config" in result.output


def test_a_router_does_not_start_with_a_key_file_that_others_can_read(tmp_path: Path) -> None:
    keys = Keys(tmp_path, in_file=True)
    keys.create("--user", "alice")
    keys.file.chmod(0o644)
    keys.config.write_text(keys.config.read_text() + "listeners: [{port: 0}]\n")
    result = CliRunner().invoke(app, ["serve", "--config", str(keys.config)])
    assert result.exit_code == 2
    assert "chmod 600" in result.output

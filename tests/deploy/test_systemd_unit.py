"""deploy/systemd is a unit that systemd takes, and locked down."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from memrouter.config.load import load_settings

from .places import DEPLOY
from .unit_file import unit

FOLDER = DEPLOY / "systemd"
MOST_EXPOSED = 1.3
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    program = tmp_path / "memrouter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (FOLDER / "memrouter.service").read_text().replace("/opt/memrouter/bin/memrouter", str(program))
    (tmp_path / "memrouter.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "memrouter.service"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "memrouter.service" in done.stderr) == (0, False), done.stderr


@needs_systemd
def test_the_service_is_hardly_exposed() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", FOLDER / "memrouter.service"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (level,) = re.findall(r"Overall exposure level for memrouter.service: ([\d.]+)", done.stdout)
    assert float(level) <= MOST_EXPOSED


def test_the_service_has_time_to_finish(tmp_path: Path) -> None:
    said = unit(FOLDER / "memrouter.service")["Service"]
    (tmp_path / "upstream_key").write_text("\n")
    loaded = load_settings(FOLDER / "router.yaml", env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert loaded.warnings == ()
    assert int(said["TimeoutStopSec"][0]) >= loaded.settings.global_.server.shutdown_seconds + 10


def test_the_type_of_the_service_is_what_the_program_does() -> None:
    said = unit(FOLDER / "memrouter.service")["Service"]
    assert said["Type"] == ["exec"]  # nothing in the program sends a notification
    sources = (FOLDER.parents[1] / "src").rglob("*.py")
    assert [path.name for path in sources if "NOTIFY_SOCKET" in path.read_text()] == []


def test_secrets_come_as_credentials_and_not_in_the_environment() -> None:
    said = unit(FOLDER / "memrouter.service")["Service"]
    assert said["LoadCredential"] == ["upstream_key:/etc/memrouter/secrets/upstream_key"]
    assert said["SetCredential"] == ["upstream_key:\\n"]
    assert not re.search("key|password|token", "".join(_settings(FOLDER / "memrouter.env")), re.IGNORECASE)


def test_the_user_and_the_folders_of_the_service_are_made() -> None:
    said = unit(FOLDER / "memrouter.service")["Service"]
    (user,) = _settings(FOLDER / "memrouter.sysusers.conf")
    assert user.split()[:2] == ["u", said["User"][0]]
    folders = {line.split()[1]: line.split()[2:] for line in _settings(FOLDER / "memrouter.tmpfiles.conf")}
    assert folders == {
        "/etc/memrouter": ["0755", "root", "root"],
        "/etc/memrouter/secrets": ["0750", "root", "memrouter"],
        "/var/lib/memrouter": [said["StateDirectoryMode"][0], "memrouter", "memrouter"],
    }


def _settings(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]

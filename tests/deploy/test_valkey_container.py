"""The commands of the Valkey container do what they are for, on a real server."""

import re
from pathlib import Path

import pytest

from memrouter.testing.valkey import ValkeyServer, free_port

from .compose import project
from .manifests import build, pick, pod
from .places import DEPLOY, ROOT, kubernetes_folder
from .valkey_container import Container, prepare, running, start

PERSISTENT = ("--appendonly", "yes", "--appendfsync", "everysec")


def words(users: str) -> set[str]:
    (line,) = (line for line in users.splitlines() if line.startswith("user memrouter "))
    return {word for word in line.split() if word[0] in "+~&"}


async def test_the_server_has_search_and_no_password_shows(tmp_path: Path) -> None:
    async with running(tmp_path) as valkey:
        assert (await valkey.probe("alive"), await valkey.probe("ready"), await valkey.probe("rEady")) == (0, 0, 2)
        shown = valkey.seen_from_outside() + valkey.users + (tmp_path / "valkey.conf").read_text()
        for name in ("valkey_password", "valkey_admin_password"):
            assert (valkey.secrets / name).read_text() not in shown
        assert "noeviction" in await valkey.cli("CONFIG", "GET", "maxmemory-policy")
        assert (await valkey.cli("CONFIG", "GET", "maxmemory")).endswith(str(640 * 1024 * 1024))
        assert (await valkey.cli("CONFIG", "GET", "appendonly")).endswith("no")


async def test_nobody_without_a_password_gets_in(tmp_path: Path) -> None:
    async with running(tmp_path) as valkey:
        _, nobody = await valkey.sh("valkey-cli", "-p", str(valkey.port), "PING")
        assert nobody.startswith("NOAUTH")
        router = (valkey.secrets / "valkey_password").read_text()
        _, admin = await valkey.sh("valkey-cli", "-p", str(valkey.port), "PING", password=router)
        assert "AUTH failed" in admin
        _, limited = await valkey.sh(
            "valkey-cli", "-p", str(valkey.port), "--user", "memrouter", "FLUSHALL", password=router
        )
        assert limited.startswith("NOPERM")


async def test_without_search_the_server_does_not_start(tmp_path: Path) -> None:
    prepare(tmp_path, port := free_port(), search=False)
    process = await start(tmp_path, port)
    output, _ = await process.communicate()
    assert process.returncode == 1
    assert b"'+ft.search': Unknown command" in output


async def test_a_server_without_search_is_alive_and_not_ready(tmp_path: Path) -> None:
    prepare(tmp_path, port := free_port())
    password = (tmp_path / "secrets" / "valkey_password").read_text()
    async with ValkeyServer(
        port=port, search=False, args=("--user", "memrouter", "on", f">{password}", "~*", "+@all")
    ) as server:
        container = Container(tmp_path, server.port, server.pid)
        assert (await container.probe("alive"), await container.probe("ready")) == (0, 1)


async def test_memories_survive_a_restart_with_the_arguments_of_the_manifests(tmp_path: Path) -> None:
    async with running(tmp_path / "kept", args=PERSISTENT) as valkey:
        await valkey.cli("SET", "kept", "yes")
    async with running(tmp_path / "kept", args=PERSISTENT) as valkey:
        assert await valkey.cli("GET", "kept") == "yes"
    assert await valkey.probe("alive") == 1
    compose = project("compose.yaml", "compose.persistence.yaml")
    assert tuple(compose["services"]["valkey-memory"]["command"]) == PERSISTENT
    manifests = kubernetes_folder(tmp_path / "manifests")
    container = pod(pick(build(manifests), "StatefulSet"))["containers"][0]
    assert tuple(container["args"]) == PERSISTENT


async def test_a_password_that_is_too_short_keeps_the_server_from_starting(tmp_path: Path) -> None:
    prepare(tmp_path, 1)
    (tmp_path / "secrets" / "valkey_password").chmod(0o644)
    (tmp_path / "secrets" / "valkey_password").write_text("short\n")
    process = await start(tmp_path, 1)
    output, _ = await process.communicate()
    assert process.returncode == 1
    assert b"needs a password of 16 characters or more" in output
    assert b"short" not in output


async def test_the_router_has_the_rights_that_the_documents_name(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "valkey.md").read_text()
    documented = re.findall(r"ACL SETUSER memrouter on >PASSWORD ([^\n]+)", text)[0].split()
    further = re.findall(r"^\| (?:a cluster|seeing|`memrouter|reading)[^|]*\| (`[^|\n]*?`)", text, re.MULTILINE)
    async with running(tmp_path) as valkey:
        given = words(valkey.users)
    assert set(documented) <= given
    assert {right.replace("\\", "") for line in further for right in re.findall(r"\+[\w\\|.]+", line)} <= given


@pytest.mark.parametrize("name", ["start.sh", "probe.sh"])
def test_the_scripts_ask_for_nothing_that_only_bash_has(name: str) -> None:
    text = (DEPLOY / "valkey" / name).read_text()
    assert text.startswith("#!/bin/sh\n")
    assert not re.search(r"\[\[|<<<|\bfunction \b|\blocal \b|pipefail|\$'", text)

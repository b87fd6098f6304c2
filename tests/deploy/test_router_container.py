"""The commands of the router's containers and of its service run as they stand there, and answer their probes."""

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from memrouter.config.memory import MilvusSettings
from memrouter.demo.processes import server
from memrouter.testing.upstream import Answer, ScriptedUpstream
from memrouter.testing.valkey import free_port

from .charts import Chart
from .compose import project
from .manifests import Object, build, pick, pod
from .places import DEPLOY, kubernetes_folder, make_secrets
from .test_dockerfile import instructions
from .unit_file import unit
from .valkey_container import running as running_valkey

ENTRY = json.loads(instructions("ENTRYPOINT")[0])
COMMAND = json.loads(instructions("CMD")[0])
NO_WAY_OUT = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
"""Whoever asks for something from the network at the start does not get it."""
CONFIG = "/etc/memrouter/router.yaml"


@dataclass(frozen=True)
class Router:
    """A running router, and how its container calls memrouter."""

    url: str
    config: Path
    env: dict[str, str]

    async def memrouter(self, *words: str) -> tuple[int, str, str]:
        """Return what a command within the container ends with: exit status, output and errors."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode(), errors.decode()

    async def proves_itself(self, healthcheck: list[str]) -> None:
        """Be healthy for the container's own check, and answer chats."""
        status, output, _ = await self.memrouter(*healthcheck, "--url", self.url)
        assert (status, output) == (0, "ok\n")
        await self.answers_chats()

    async def answers_chats(self) -> None:
        """Make a key and chat with it; without one there is no chat."""
        status, key, errors = await self.memrouter(
            *("memrouter", "keys", "create", "--config", str(self.config), "--user", "alice")
        )
        assert status == 0, errors
        body = {"model": "default", "messages": [{"role": "user", "content": "My cat is called Miso."}]}
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            chat = await client.post(
                "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key.strip()}"}
            )
            assert (chat.status_code, chat.headers["x-memory-status"]) == (200, "missing")
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 401
            assert (await client.get("/health")).status_code == 200
            ready = await client.get("/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "ok")


@asynccontextmanager
async def running_router(
    folder: Path, command: list[str], text: str, *, env: Mapping[str, str], written: Mapping[str, str]
) -> AsyncIterator[Router]:
    """Run a container's command with its own configuration, but for addresses and paths; it must end well.

    Args:
        folder: Where its files go.
        command: As the container has it.
        text: The configuration.
        env: Its environment.
        written: What in the configuration stands for what here.
    """
    for there, here in written.items():
        assert there in text
        text = text.replace(there, here)
    config = folder / "router.yaml"
    config.write_text(text)
    assert command[0] == "memrouter"
    assert CONFIG in command
    port = free_port()
    words = [str(config) if word == CONFIG else word for word in command]
    whole = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **NO_WAY_OUT, **env}
    url = f"http://127.0.0.1:{port}"
    program = [sys.executable, "-m", *words, "--host", "127.0.0.1", "--port", str(port)]
    async with server(program, ready_url=f"{url}/ready", log=folder / "log", env=whole) as process:
        yield Router(url, config, whole)
    assert process.returncode == 0, (folder / "log").read_text()


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(lambda _: Answer.completion("Noted, Miso it is.")) as running:
        yield running


async def test_the_image_serves_with_its_own_configuration(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    healthcheck = json.loads(instructions("HEALTHCHECK")[0].partition("CMD")[2])
    env = {"MEMROUTER_UPSTREAM": upstream.url, "HF_HUB_OFFLINE": "1"}
    text = (DEPLOY / "docker" / "router.yaml").read_text()
    (tmp_path / "data").mkdir()
    written = {"/data/": f"{tmp_path}/data/"}
    async with running_router(tmp_path, [*ENTRY, *COMMAND], text, env=env, written=written) as router:
        await router.proves_itself(healthcheck)
    assert (tmp_path / "data" / "memrouter.db").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "log", "router.yaml"]  # nothing beside /data


async def test_compose_serves_from_its_valkey(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    files = ("compose.yaml", "compose.persistence.yaml")
    services = project(*files, env={"MEMROUTER_UPSTREAM": upstream.url})["services"]
    service = services["memrouter"]
    text = (DEPLOY / "compose" / "router.yaml").read_text()
    async with running_valkey(tmp_path / "valkey", args=services["valkey-memory"]["command"]) as valkey:
        written = {
            "host: valkey-memory": f"host: 127.0.0.1\n        port: {valkey.port}",
            "/run/secrets": str(valkey.secrets),
        }
        command = [*ENTRY, *COMMAND]
        env = service["environment"]
        async with running_router(tmp_path, command, text, env=env, written=written) as router:
            await router.proves_itself(service["healthcheck"]["test"][1:])
            _, output, errors = await router.memrouter("memrouter", "doctor", "--config", str(router.config))
            assert "0 broken, 0 warnings" in output + errors


async def test_compose_serves_from_its_milvus(
    tmp_path: Path, upstream: ScriptedUpstream, milvus_server: MilvusSettings
) -> None:
    service = project(env={"MEMROUTER_UPSTREAM": upstream.url})["services"]["memrouter"]
    text = (DEPLOY / "compose" / "router-milvus.yaml").read_text()
    make_secrets(tmp_path / "secrets")
    address = milvus_server.address
    written = {
        'milvus: {address: "milvus:19530"}': json.dumps({"milvus": {"address": address, "collection": "deployed"}})[
            1:-1
        ],
        "/run/secrets": str(tmp_path / "secrets"),
    }
    env = service["environment"]
    async with (
        running_router(tmp_path, [*ENTRY, *COMMAND], text, env=env, written=written) as router,
        httpx.AsyncClient(base_url=router.url) as client,
    ):
        assert (await client.get("/ready")).json()["status"] == "ok"


def kubernetes(folder: Path) -> tuple[list[str], str]:
    objects = build(kubernetes_folder(folder))
    return command_of(objects), pick(objects, "ConfigMap", "memrouter-config")["data"]["router.yaml"]


def chart(_: Path) -> tuple[list[str], str]:
    objects = Chart(DEPLOY / "helm" / "memrouter").objects()
    return command_of(objects), pick(objects, "ConfigMap", "memrouter-config")["data"]["router.yaml"]


def command_of(objects: list[Object]) -> list[str]:
    container = pod(pick(objects, "Deployment"))["containers"][0]
    return [*container.get("command", ENTRY), *container["args"]]


@pytest.mark.parametrize("made", [kubernetes, chart], ids=["manifests", "chart"])
async def test_kubernetes_runs_the_command_that_compose_runs(made: object, tmp_path: Path) -> None:
    assert callable(made)
    command, text = made(tmp_path)
    assert command == [*ENTRY, *COMMAND]
    configured, here = yaml.safe_load(text), yaml.safe_load((DEPLOY / "compose" / "router.yaml").read_text())
    for one in (configured, here):
        del one["global"]["stores"]["memory"]["valkey"]["host"], one["providers"]
    assert configured == here


async def test_the_service_hands_its_credential_to_the_model_server(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    said = unit(DEPLOY / "systemd" / "memrouter.service")["Service"]
    program, *words = shlex.split(said["ExecStart"][0])
    assert program == "/opt/memrouter/bin/memrouter"
    (tmp_path / "upstream_key").write_text("sk-of-the-model-server\n")
    env = {"MEMROUTER_UPSTREAM": upstream.url, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    text = (DEPLOY / "systemd" / "router.yaml").read_text()
    written = {"/var/lib/memrouter/": f"{tmp_path}/"}
    async with running_router(tmp_path, ["memrouter", *words], text, env=env, written=written) as router:
        await router.answers_chats()
    assert {request.header("authorization") for request in upstream.requests} == {"Bearer sk-of-the-model-server"}

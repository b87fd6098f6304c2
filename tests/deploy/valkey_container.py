"""The Valkey container's commands, run on this machine: the same scripts, with paths and ports of a test."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from memrouter.testing.valkey import free_port, module_path, server_path

from .places import DEPLOY, make_secrets

# What the image has and a test machine may not: enough of valkey-cli for the probes, and for looking in from outside.
CLI = f"""#!{sys.executable}
import os, socket, sys
port, user, words, rest = 6379, "default", [], sys.argv[1:]
while rest:
    word = rest.pop(0)
    match word:
        case "-h": rest.pop(0)
        case "-p": port = int(rest.pop(0))
        case "--user": user = rest.pop(0)
        case "--no-auth-warning": pass
        case _: words.append(word)
try:
    server = socket.create_connection(("127.0.0.1", port), timeout=5)
except OSError:
    sys.exit("Could not connect to Valkey: Connection refused")
stream = server.makefile("rwb")
def send(*words):
    parts = [b"$%d\\r\\n%s\\r\\n" % (len(word.encode()), word.encode()) for word in words]
    stream.write(b"*%d\\r\\n" % len(parts) + b"".join(parts)); stream.flush()
def show():
    line = stream.readline().rstrip()
    if line[:1] == b"*": [show() for _ in range(int(line[1:]))]
    elif line[:1] == b"$": print(stream.read(int(line[1:]) + 2)[:-2].decode(errors="replace"))
    else: print(line[1:].decode())
if password := os.environ.get("VALKEYCLI_AUTH"):
    send("AUTH", user, password); answer = stream.readline()
    if not answer.startswith(b"+OK"): print("AUTH failed:", answer[1:].decode().rstrip())
send(*words); show()
"""


@dataclass(frozen=True)
class Container:
    """A Valkey that was started by start.sh."""

    folder: Path
    port: int
    pid: int

    @property
    def secrets(self) -> Path:
        """Return the folder with its passwords."""
        return self.folder / "secrets"

    @property
    def users(self) -> str:
        """Return the users that start.sh made."""
        return (self.folder / "run" / "users.acl").read_text()

    async def sh(self, *words: str, password: str = "") -> tuple[int, str]:
        """Return exit status and output of a shell script or a program within the container."""
        env = environment(self.folder, self.port) | ({"VALKEYCLI_AUTH": password} if password else {})
        process = await asyncio.create_subprocess_exec(
            *words, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def probe(self, how: str) -> int:
        """Return the exit status of probe.sh."""
        status, _ = await self.sh("sh", str(DEPLOY / "valkey" / "probe.sh"), how)
        return status

    async def cli(self, *words: str) -> str:
        """Return what the server answers to an operator."""
        password = (self.secrets / "valkey_admin_password").read_text()
        _, output = await self.sh("valkey-cli", "-p", str(self.port), *words, password=password)
        return output.strip()

    def seen_from_outside(self) -> str:
        """Return the arguments and the environment of the server process."""
        return "".join(Path(f"/proc/{self.pid}/{name}").read_text() for name in ("cmdline", "environ"))


def environment(folder: Path, port: int) -> dict[str, str]:
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "VALKEY_SECRETS": str(folder / "secrets"),
        "VALKEY_RUN": str(folder / "run"),
        "VALKEY_CONFIG": str(folder / "valkey.conf"),
        "VALKEY_PORT": str(port),
    }


def prepare(folder: Path, port: int, *, search: bool = True) -> None:
    """Make in ``folder`` what the container has: programs, configuration, secrets, and places to write to."""
    for name in ("bin", "run", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    program = folder / "bin" / "valkey-server"
    if not program.exists():
        program.symlink_to(server_path())
        (folder / "bin" / "valkey-cli").write_text(CLI)
        (folder / "bin" / "valkey-cli").chmod(0o755)
    make_secrets(folder / "secrets")
    text = (DEPLOY / "valkey" / "valkey.conf").read_text()
    for written, here in (
        ("bind * -::*", "bind 127.0.0.1"),
        ("port 6379", f"port {port}"),
        ("dir /data", f"dir {folder / 'data'}"),
        ("loadmodule /usr/lib/valkey/libsearch.so", f"loadmodule {module_path()}" if search else ""),
        ("/run/valkey", str(folder / "run")),
    ):
        assert written in text
        text = text.replace(written, here)
    (folder / "valkey.conf").write_text(text)


@asynccontextmanager
async def running(folder: Path, *, args: Sequence[str] = (), search: bool = True) -> AsyncIterator[Container]:
    """Give a Valkey that start.sh has become, and stop it as Docker and Kubernetes do."""
    port = free_port()
    prepare(folder, port, search=search)
    process = await start(folder, port, args)
    try:
        container = Container(folder, port, process.pid)
        async with asyncio.timeout(20):
            while await container.probe("alive"):
                assert process.returncode is None, (await process.communicate())[0].decode()
                await asyncio.sleep(0.05)
        yield container
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def start(folder: Path, port: int, args: Sequence[str] = ()) -> asyncio.subprocess.Process:
    """Run the container's command."""
    return await asyncio.create_subprocess_exec(
        *("/bin/sh", str(DEPLOY / "valkey" / "start.sh"), *args),
        env=environment(folder, port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

"""A peer's process, as the benchmarks use it."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any

import numpy as np

from benchmarks import people
from benchmarks.arguments import PEERS
from benchmarks.circumstances import ROOT
from benchmarks.peers.wordllama_vectors import DIMENSION
from memrouter.embeddings.wordllama import WordLlamaEmbedder

NAMES = {"betterdb": "betterdb-agent-memory", "mem0": "mem0"}
"""Names by the folder of the environment."""
USERS_PER_FILL = 50
_MOST_BYTES = 256 * 2**20
_SAMPLES = ("Where does my sister live?", "Naïve café in 東京 🙂", "")


class PeerError(Exception):
    """A peer could not do what it was asked for; the message says why."""


class PeerProcess:
    """Gives orders to a peer; open with ``peer``."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    async def ask(self, do: str, **order: Any) -> Any:
        """Return a peer's answer.

        Raises:
            PeerError: It failed or has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        except ConnectionError:
            line = b""
        if not line:
            self._errors.seek(0)
            raise PeerError(self._errors.read().decode(errors="replace") or "it has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    async def check_vectors(self, embedder: WordLlamaEmbedder) -> None:
        """Raise PeerError unless it embeds as memrouter does, for texts that have tokens."""
        texts = [text for text in _SAMPLES if text]
        theirs = np.array((await self.ask("vectors", texts=texts))["vectors"])
        if not np.allclose(theirs, await embedder.embed(texts), atol=1e-3):
            raise PeerError("its vectors are not those of memrouter's embedder")

    async def fill(self, users: Sequence[int], per_user: int) -> None:
        """Store the memories of users."""
        for first in range(0, len(users), USERS_PER_FILL):
            some = users[first : first + USERS_PER_FILL]
            texts = [(people.name(user), fact.text) for user in some for fact in people.facts(user, per_user)]
            await self.ask("fill", memories=texts)

    async def recall(self, questions: Sequence[tuple[str, str]], variant: str) -> Sequence[float]:
        """Return the seconds of each search."""
        seconds: Sequence[float] = (await self.ask("recall", questions=questions, variant=variant))["seconds"]
        return seconds

    async def remember(self, memories: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Return the seconds of each single write."""
        seconds: Sequence[float] = (await self.ask("remember", memories=memories))["seconds"]
        return seconds


@asynccontextmanager
async def peer(name: str, port: int, embedder: WordLlamaEmbedder, *, index: str = "peer") -> AsyncIterator[PeerProcess]:
    """Run a peer on a Valkey server of this machine while the body runs.

    Raises:
        PeerError: It is not installed, cannot start, or embeds otherwise.
    """
    python = PEERS / name / "bin" / "python"
    if not python.exists():
        raise PeerError(f"{NAMES[name]} is not installed; run: make bench-peers")
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            str(python), "-m", f"benchmarks.peers.{name}_peer",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, limit=_MOST_BYTES,
        )  # fmt: skip
        try:
            running = PeerProcess(process, errors)
            await running.check_vectors(embedder)
            await running.ask("open", port=port, dimension=DIMENSION, name=f"{name}{index}")
            yield running
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

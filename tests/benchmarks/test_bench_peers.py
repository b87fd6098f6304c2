"""A product that is not there is told as such, with the way to get it."""

from pathlib import Path

import benchmarks.peers.process
import benchmarks.routers
import pytest
from benchmarks.peers.process import NAMES, PeerError, peer
from benchmarks.routers import litellm_command

from memrouter.demo.processes import DemoError
from memrouter.embeddings.wordllama import WordLlamaEmbedder


@pytest.mark.parametrize("name", NAMES)
async def test_a_peer_that_is_not_installed_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.peers.process, "PEERS", tmp_path)
    with pytest.raises(PeerError, match=f"{NAMES[name]} is not installed; run: make bench-peers"):
        async with peer(name, 1, WordLlamaEmbedder.load()):
            pass


async def test_a_peer_that_cannot_start_tells_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "mem0" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(benchmarks.peers.process, "PEERS", tmp_path)
    with pytest.raises(PeerError, match="no such module"):
        async with peer("mem0", 1, WordLlamaEmbedder.load()):
            pass


def test_litellm_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.routers, "LITELLM", tmp_path / "litellm")
    with pytest.raises(DemoError, match="LiteLLM is not installed; run: make bench-peers"):
        litellm_command(tmp_path, 1)


@pytest.mark.parametrize("name", ["litellm", *NAMES])
def test_every_requirement_of_a_peer_is_exact(name: str) -> None:
    lines = (Path(benchmarks.peers.process.__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("#") or line.count("==") == 1 for line in lines)

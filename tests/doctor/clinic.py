"""Runs the whole command against real servers and gives its findings by check."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from memrouter.cli.main import app
from memrouter.testing.valkey import ValkeyServer

AOF = ("--appendonly", "yes")

Launch = Callable[..., ValkeyServer]


@dataclass(frozen=True)
class Outcome:
    """What the command said: exit status, whole output, and the findings."""

    status: int
    text: str
    findings: list[dict[str, str]]

    def of(self, check: str) -> dict[str, str]:
        """Return the worst finding of a check."""
        order = ["ok", "warning", "broken"]
        return max((one for one in self.findings if one["check"] == check), key=lambda one: order.index(one["level"]))

    @property
    def checks(self) -> list[str]:
        """Return the names of the checks, in order."""
        return [one["check"] for one in self.findings]

    def at(self, level: str) -> set[str]:
        """Return the checks with a finding of this level."""
        return {one["check"] for one in self.findings if one["level"] == level}


class Doctor:
    """Runs ``memrouter doctor`` with an upstream that can be reached."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self.file = folder / "router.yaml"
        self._upstream = upstream

    def write(self, **memory: Any) -> None:
        """Write a configuration with these settings of ``global.stores.memory``."""
        refs = [{"name": "near", "endpoint": self._upstream}]
        document = {
            "providers": {"models": [{"name": "qwen3", "backend_refs": refs}]},
            "global": {"stores": {"memory": {"embedding_model": "hash", **memory}}},
        }
        self.file.write_text(yaml.safe_dump(document))

    def run(self, *, config: bool = True, **env: str) -> Outcome:
        """Run the command with ``--json``; ``config``: with the written file."""
        args = ["doctor", "--json", *(["--config", str(self.file)] if config else [])]
        clean = {"MEMROUTER_EMBEDDING_MODEL": None, **env}
        result = CliRunner().invoke(app, args, env=clean, catch_exceptions=False)
        return Outcome(result.exit_code, result.output, json.loads(result.stdout)["findings"])

    def lines(self) -> str:
        """Run the command without ``--json`` and return its output."""
        return CliRunner().invoke(app, ["doctor", "--config", str(self.file)], catch_exceptions=False).stdout

    def valkey(self, port: int, **block: Any) -> Outcome:
        """Run with a valkey block for a server on this port."""
        self.write(backend="valkey", valkey={"host": "127.0.0.1", "port": port, "timeout": 2, **block})
        return self.run()

    def sqlite(self, path: Path, **memory: Any) -> Outcome:
        """Run with a database at ``path``."""
        self.write(backend="sqlite", sqlite={"path": str(path)}, **memory)
        return self.run()

"""Benchmarks as programs, at tiny sizes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the installed package
TINY = {
    "embedding": ("--samples", "6", "--batches", "1", "3"),
    "startup": ("--stores", "sqlite", "--no-peers"),
    "overhead": (
        *("--clients", "1", "2", "--stream-clients", "2", "--seconds", "0.05"),
        *("--arms", "direct", "sqlite", "--users", "2"),
    ),
    "retrieval": (
        *("--stores", "sqlite", "--memories", "100", "300", "--one-user", "100"),
        *("--samples", "3", "--no-peers"),
    ),
    "writes": ("--stores", "sqlite", "--samples", "2", "--batches", "1", "--turns", "1", "--no-peers"),
    "growth": ("--stores", "sqlite", "--minutes", "0.02", "--users", "2"),
}
"""Options with which each benchmark takes a few seconds."""


class Results:
    """What the benchmarks write; each is run when it is first asked for.

    Args:
        folder: Where they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, question: str) -> dict[str, Any]:
        """Return the answer to a question."""
        if question == "growth":
            self.of("retrieval")  # growth tells of its figures
        file = self.folder / f"{question}.json"
        if not file.exists():
            self._run(question)
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return content

    def _run(self, question: str) -> None:
        words = [sys.executable, "-m", f"benchmarks.{question}", "--output", str(self.folder), "--rounds", "1"]
        with subprocess.Popen(
            [*words, *TINY[question]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                output, _ = process.communicate()
            finally:
                process.terminate()  # so that it stops what it has started
        assert process.returncode == 0, output.decode()[-4000:]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results(tmp_path_factory.mktemp("benchmarks"))

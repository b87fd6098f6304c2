"""Benchmarks run as programs, beside those that ``conftest.py`` runs for all tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def answered(question: str, folder: Path, *options: str) -> dict[str, Any]:
    """Run a benchmark in one round and return what it has written."""
    words = [sys.executable, "-m", f"benchmarks.{question}", "--output", str(folder), "--rounds", "1", *options]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    content: dict[str, Any] = json.loads((folder / f"{question}.json").read_text(encoding="utf-8"))
    return content

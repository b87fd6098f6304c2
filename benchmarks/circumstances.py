"""Where and with what a measurement was made."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import memrouter

ROOT = Path(__file__).parent.parent
PACKAGES = ("numpy", "uvloop", "uvicorn", "fastapi", "aiohttp", "wordllama", "valkey-glide", "pymilvus")


def circumstances() -> dict[str, Any]:
    """Return machine, versions, date and revision, without a name of the machine or a path."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": revision(),
        "machine": {
            "processor": _line(Path("/proc/cpuinfo"), "model name") or platform.processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gb": round(int((_line(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0]) / 2**20, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {"memrouter": memrouter.__version__, "python": platform.python_version(), **_installed()},
    }


def revision() -> str:
    """Return the commit of the product, marked where files differ from it; ``unknown`` outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD").strip()
        return f"{commit} with changes" if _git("status", "--porcelain", "--", "src").strip() else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def without_paths(text: str) -> str:
    """Return a message fit for a published page: the last line, without folders of this machine."""
    last = text.strip().splitlines()[-1] if text.strip() else "no message"
    for folder, name in ((ROOT, "."), (Path.home(), "~")):
        last = last.replace(str(folder), name)
    return last[:300]


def _installed() -> dict[str, str]:
    found = {distribution.metadata["Name"]: distribution.version for distribution in importlib.metadata.distributions()}
    return {name: found[name] for name in PACKAGES if name in found}


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _line(file: Path, name: str) -> str | None:
    if not file.exists():
        return None
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return None

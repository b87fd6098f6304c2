"""What deploy/monitoring holds, and what the router exposes, for comparing the two."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from memrouter.observability.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "monitoring" / "prometheus"
RULES = PROMETHEUS / "rules" / "memrouter.yml"
CASES = PROMETHEUS / "rules" / "tests" / "memrouter.yml"
GRAFANA = ROOT / "deploy" / "monitoring" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "memrouter.json"
RUNBOOK = ROOT / "docs" / "runbook.md"
SUPERVISOR = ROOT / "src" / "memrouter" / "cli" / "workers" / "supervisor.py"
"""Adds a metric of its own to those of several worker processes."""

TARGET_LABELS = {"job", "instance", "worker"}
"""Labels that a sample gets where it is scraped, or from one of several worker processes."""

_SELECTOR = re.compile(
    r"(?<![\w:\"])(?P<name>(?:[a-z_]+:)?(?:memrouter|process)_[a-z0-9_:]+)(?:\{(?P<labels>[^}]*)\})?"
)
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")


def program(name: str) -> str:
    """Return the path of a program of Debian's package prometheus."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not on the PATH; run: apt-get install prometheus")
    return path


def promtool(*arguments: str | Path) -> str:
    """Return what promtool printed; it must have been content."""
    command = [program("promtool"), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@cache
def rules() -> list[dict[str, Any]]:
    """Return all recording and alerting rules."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def cases() -> list[dict[str, Any]]:
    """Return the cases that the rules are tried with."""
    found: list[dict[str, Any]] = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@cache
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Yield the title of each panel with each of its queries."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@dataclass(frozen=True)
class Selector:
    """A metric in a query, with the labels that are asked of it."""

    name: str
    labels: frozenset[str]


def selectors(query: str) -> list[Selector]:
    bare = _GROUPING.sub("", query)
    return [
        Selector(found["name"], frozenset(_LABEL.findall(found["labels"] or "")))
        for found in _SELECTOR.finditer(bare)
    ]  # fmt: skip


def groupings(query: str) -> set[str]:
    """Return the labels that a query groups or joins by."""
    return {label.strip() for found in _GROUPING.findall(query) for label in found.split(",")}


@cache
def exposed() -> Mapping[str, frozenset[str]]:
    """Return the name of every sample that a router can expose, with its labels."""
    metrics = Metrics()
    metrics.watch_queue(depth=_zero, dropped=_zero, done=_zero, failed=_zero)
    metrics.watch_extraction(waiting=_zero, dropped=_zero, failed=_zero)
    metrics.watch_working_set(hits=_zero, misses=_zero, size=_zero)
    metrics.watch_embedding_cache(hits=_zero, misses=_zero)
    metrics.watch_migration(phase=_zero, copied=_zero, remaining=_zero, dirty=_zero, failures=_zero)
    metrics.watch_store_memory(used=_zero, limit=_zero)
    metrics.watch_tracing(recorded=_zero, exported=_zero)
    assert "memrouter_worker_up" in SUPERVISOR.read_text(encoding="utf-8")
    registry = metrics._registry
    found = {"memrouter_worker_up": frozenset[str]()}
    for collector in list(registry._collector_to_names):
        labels = frozenset(getattr(collector, "_labelnames", ()))
        for metric in collector.collect():
            match metric.type:
                case "counter":
                    found[f"{metric.name}_total"] = labels
                case "histogram":
                    found[f"{metric.name}_bucket"] = labels | {"le"}
                    found |= dict.fromkeys((f"{metric.name}_sum", f"{metric.name}_count"), labels)
                case _:
                    found[metric.name] = labels
    return found


def _zero() -> float:
    return 0.0

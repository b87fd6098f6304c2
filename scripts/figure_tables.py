"""Tables for the documents from the figures that the benchmarks have written, each with its median over rounds."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NAMES: Final = {"sqlite": "SQLite", "valkey": "Valkey", "milvus": "Milvus"}
NOTHING: Final = "No figures are kept here: `make bench` measures them on your machine."
_SIZE: Final = re.compile(r"\w+\.s(?P<size>\d+)\.cold\.p50_ms")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: What is measured.
        figure: Name of the figure, with ``{}`` in the place of the column's key.
        unit: Behind the numbers.
        digits: Behind the point.
    """

    name: str
    figure: str
    unit: str
    digits: int = 2

    def line(self, figures: Mapping[str, Any], keys: Sequence[str]) -> str:
        """Return the line with a cell for each key; empty where no figure is there."""
        cells = [self._cell(figures.get(self.figure.format(key))) for key in keys]
        return f"| {self.name} | {' | '.join(cells)} |" if any(cells) else ""

    def _cell(self, figure: Mapping[str, float] | None) -> str:
        if figure is None:
            return ""
        median, low, high = (f"{figure[name]:,.{self.digits}f}" for name in ("median", "low", "high"))
        return f"{median} {self.unit} ({low} to {high})"


def stores(folder: Path) -> str:
    """Return the stores beside each other: finding and keeping memories.

    Args:
        folder: Holds the JSON files of the benchmarks; what is not there is left out.
    """
    reports = _reports(folder, "retrieval", "writes")
    sizes = sorted({int(found["size"]) for name in _figures(reports) if (found := _SIZE.fullmatch(name))})
    rows = [row for size in sizes for row in _finding(size)]
    rows += [
        Row("one memory remembered", "{}.one.service.p50_ms", "ms"),
        Row("a finished turn, until it can be read", "turns.{}.turn.p50_ms", "ms"),
        Row("memories written at once", "{}.bulk.store.rate", "/s", 0),
    ]
    note = "100 memories a user; a question is embedded, searched and ranked."
    return _table(reports, NAMES, rows, note)


def speed(folder: Path) -> str:
    """Return what a router adds to a request, beside another product.

    Args:
        folder: As for ``stores``.
    """
    reports = _reports(folder, "overhead", "startup")
    memory = {"none": "memory off", "sqlite": "memory on SQLite", "valkey": "memory on Valkey"}
    columns = {**memory, "litellm": "LiteLLM proxy"}
    rows = [
        Row("added to an answer, 1 client", "whole.{}.1.added_p50_ms", "ms"),
        Row("added to the first token, 1 client", "streamed.{}.1.added_first_token_ms", "ms"),
        Row("answers a second, 64 clients, until all turns are stored", "whole.{}.64.rate", "/s", 0),
        Row("start to ready", "{}.ready_s", "s"),
        Row("memory at rest", "{}.rss_mb", "MB", 0),
    ]
    return _table(reports, columns, rows, "One worker process, an echo server as the model.")


def _finding(size: int) -> list[Row]:
    kinds = {"cold": "a user's first question", "warm": "later questions"}
    return [Row(f"{name}, {size:,} memories in all", f"{{}}.s{size}.{key}.p50_ms", "ms") for key, name in kinds.items()]


def _reports(folder: Path, *questions: str) -> list[Any]:
    files = [folder / f"{question}.json" for question in questions]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def _figures(reports: Sequence[Any]) -> dict[str, Any]:
    return {name: figure for report in reports for name, figure in report["figures"].items()}


def _table(reports: Sequence[Any], columns: Mapping[str, str], rows: Sequence[Row], note: str) -> str:
    lines = [line for row in rows if (line := row.line(_figures(reports), list(columns)))]
    if not lines:
        return NOTHING
    head = [f"| | {' | '.join(columns.values())} |", f"|{'---|' * (len(columns) + 1)}"]
    return "\n".join([*head, *lines, "", " ".join(_origin(reports, note))])


def _origin(reports: Sequence[Any], note: str) -> Iterator[str]:
    first, machine = reports[0], reports[0]["machine"]
    yield f"Medians over rounds, with the least and the most. {note}"
    yield f"Made on {first['date']} on one machine with {machine['cores']} cores ({machine['processor']})."
    servers = {name: version for report in reports for name, version in report["servers"].items()}
    yield from (f"{NAMES.get(name, name)} is {version}." for name, version in sorted(servers.items()))

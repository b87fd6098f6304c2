"""What one benchmark found: tables to print, figures for the page, both kept as JSON."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.circumstances import circumstances, without_paths
from benchmarks.sampling import Case, Spread, quotient


@dataclass(slots=True)
class Sheet:
    """One table.

    Attributes:
        title: What is compared.
        columns: Headings; the first one is of the names.
        rows: A name and its values, as they are shown.
        note: What a reader must know to read it; may be empty.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    note: str = ""

    def print(self, console: Console) -> None:
        table = Table(title=self.title, title_justify="left")
        for number, heading in enumerate(self.columns):
            table.add_column(heading, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        if self.note:
            console.print(self.note)


class Report:
    """All that one question was answered with.

    Args:
        question: Short name; that of the JSON file.
        title: Heading on the page.
        parameters: What was chosen, such as sizes and rounds.
    """

    def __init__(self, question: str, title: str, parameters: Mapping[str, Any]) -> None:
        self.question = question
        self.title = title
        self.sheets: list[Sheet] = []
        self.figures: dict[str, Spread] = {}
        self.failures: dict[str, str] = {}
        self.images: list[str] = []
        self.versions: dict[str, str] = {}
        self._parameters = dict(parameters)
        self._circumstances = circumstances()
        self._begun = time.monotonic()

    def add(self, sheet: Sheet, console: Console) -> None:
        """Keep and print a table."""
        self.sheets.append(sheet)
        sheet.print(console)

    def failed(self, name: str, reason: str, console: Console) -> None:
        """Note that something could not be measured."""
        self.failures[name] = without_paths(reason)
        console.print(f"{name}: NOT MEASURED: {self.failures[name]}", style="bold", markup=False)

    def compare(self, title: str, cases: Sequence[Case], console: Console, *, prefix: str, note: str = "") -> None:
        """Add a table of times, each case beside the first, and their figures as ``prefix.key.p50`` and the like."""
        sheet = Sheet(title, ("", "p50 ms", "least to most", "p99 ms", "ratio"), note=note)
        for case in cases:
            if not case.rounds:
                self.failed(case.name, case.failure or "no rounds", console)
                sheet.rows.append((case.name, "failed", "", "", ""))
                continue
            middle, late = case.quantile(0.5).times(1000), case.quantile(0.99).times(1000)
            ratio = quotient(case.by_round(0.5), cases[0].by_round(0.5))
            self.figures[f"{prefix}.{case.key}.p50_ms"] = middle
            self.figures[f"{prefix}.{case.key}.p99_ms"] = late
            self.figures[f"{prefix}.{case.key}.ratio"] = ratio
            sheet.rows.append((case.name, *times(middle), f"{late.median:.3f}", f"{ratio.median:.2f}"))
        self.add(sheet, console)

    def write(self, folder: Path) -> Path:
        """Write the JSON file and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.question}.json"
        content = {
            "question": self.question,
            "title": self.title,
            **self._circumstances,
            "servers": self.versions,
            "parameters": self._parameters,
            "seconds": round(time.monotonic() - self._begun),
            "failures": self.failures,
            "images": self.images,
            "tables": [asdict(sheet) for sheet in self.sheets],
            "figures": {name: asdict(spread) for name, spread in self.figures.items()},
        }
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return file


def times(spread: Spread) -> tuple[str, str]:
    """Return median and range of milliseconds as they are shown."""
    return f"{spread.median:.3f}", f"{spread.low:.3f} to {spread.high:.3f}"


def rates(spread: Spread) -> tuple[str, str]:
    """Return median and range of things per second as they are shown."""
    return f"{spread.median:,.0f}", f"{spread.low:,.0f} to {spread.high:,.0f}"

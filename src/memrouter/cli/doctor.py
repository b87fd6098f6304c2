"""``memrouter doctor``: prints what the doctor finds."""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memrouter.clock import SystemClock
from memrouter.doctor.examination import examine
from memrouter.doctor.findings import Finding, Level, printable, worst

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.BROKEN: "bold red"}


def doctor(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Configuration file; without one, the defaults.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at everything the router needs: what was seen, why it matters, and the command that mends it.

    Exit status: 0 all is well, 1 there are warnings, 2 something is broken.
    """
    findings: list[Finding] = []
    with _Silence():
        asyncio.run(examine(config, env=os.environ, clock=SystemClock(), report=findings.append))
    level = worst(findings)
    if as_json:
        found = [{name: printable(text) for name, text in finding.as_dict().items()} for finding in findings]
        typer.echo(json.dumps({"level": level.name.lower(), "findings": found}, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _table(findings)
    else:
        _lines(findings)
    raise typer.Exit(int(level))


class _Silence:
    """Keeps the router's own log out of the report, which says the same in its place."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("memrouter")
        self._level = self._logger.level
        self._logger.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)


def _table(findings: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "check", "finding"):
        table.add_column(heading, no_wrap=heading != "finding", overflow="fold")
    for finding in findings:
        text = Text(printable(finding.seen))
        if finding.why:
            text.append(f"\n{printable(finding.why)}", style="dim")
        if finding.fix:
            text.append(f"\n→ {printable(finding.fix)}", style="cyan")
        mark = Text(finding.level.name.lower(), style=_STYLES[finding.level])
        table.add_row(mark, Text(printable(finding.check)), text)
    console = Console(highlight=False)
    console.print(table)
    console.print(Text(_verdict(findings), style=_STYLES[worst(findings)]))


def _lines(findings: list[Finding]) -> None:
    for finding in findings:
        line = f"{finding.level.name.lower()}: {printable(finding.check)}: {printable(finding.seen)}"
        typer.echo(line)
        for label, text in (("why", finding.why), ("fix", finding.fix)):
            if text:
                typer.echo(f"  {label}: {printable(text)}")
    typer.echo(_verdict(findings))


def _verdict(findings: list[Finding]) -> str:
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return f"{counts[Level.BROKEN]} broken, {counts[Level.WARNING]} warnings, {counts[Level.OK]} ok"

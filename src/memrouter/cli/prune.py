"""``memrouter prune``: remove the memories that have to go by themselves, or say which."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memrouter.cli.desk import run_to_end, show_report
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.cli.upkeep_desk import DryRunOption, UserOption, open_upkeep
from memrouter.doctor.findings import printable
from memrouter.memory.upkeep.pruning import Leaving
from memrouter.memory.upkeep.report import PruneReport
from memrouter.memory.upkeep.retention import Rule
from memrouter.models.history import Actor
from memrouter.models.memory import check_identity

_COLUMNS = ("id", "user_id", "rule", "days", "standing")
_SHOWN_CHARS = 60


def prune(
    config: ConfigOption = None,
    user: UserOption = None,
    dry_run: DryRunOption = False,
    show_text: Annotated[
        bool, typer.Option("--show-text", help="With --dry-run: list the beginning of each text too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove memories that have expired, were replaced or quarantined long ago, or that nobody has needed for long.

    Routers do this by themselves every hour; they may serve meanwhile. With --dry-run every memory that would go is
    listed with the rule, for how many days its reason has stood, and its standing: retention weighted by importance.

    Exit status: 0 done; 2 it failed, 130 interrupted.
    """
    listed: list[dict[str, Any]] = []

    def note(leaving: Leaving) -> None:
        if dry_run:
            listed.append(_row(leaving, show_text=show_text))

    async def work() -> PruneReport:
        user_id = None if user is None else check_identity(user, param="--user")
        async with open_upkeep(config) as upkeep:
            return await upkeep.pruning.run(user_id=user_id, dry_run=dry_run, actor=Actor.OPERATOR, note=note)

    report = run_to_end(work, again="run the same command again")
    if dry_run and listed and not as_json:
        _print(listed, show_text=show_text)
    facts = {**report.as_dict(), **({"would_go": listed} if dry_run else {})}
    show_report(facts, _readable(report), as_json=as_json)


def _row(leaving: Leaving, *, show_text: bool) -> dict[str, Any]:
    record, departure = leaving.record, leaving.departure
    row = {
        "id": record.id,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "type": str(record.type),
        "rule": str(departure.rule),
        "days": round(departure.days, 1),
        "standing": round(departure.standing, 4),
        "importance": record.importance,
        "access_count": record.access_count,
    }
    return row | ({"content": record.content} if show_text else {})


def _print(rows: list[dict[str, Any]], *, show_text: bool) -> None:
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, overflow="fold")
    if show_text:
        table.add_column("content", no_wrap=True)
    for row in rows:
        cells = [str(row[name]) for name in _COLUMNS]
        cells += [row["content"][:_SHOWN_CHARS]] if show_text else []
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console(highlight=False).print(table)


def _readable(report: PruneReport) -> list[str]:
    done = "would go" if report.dry_run else "went"
    rules = ", ".join(f"{report.removed[rule]} {rule}" for rule in Rule)
    lines = [
        f"looked at {report.memories} memories of {report.users} users",
        f"{report.removed.total()} {done}: {rules}",
    ]
    if report.spared:
        lines.append(f"{report.spared} stay, since they were used, changed or pinned meanwhile")
    return [*lines, "nothing was removed (dry run)"] if report.dry_run else lines

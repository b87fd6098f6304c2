"""``memrouter consolidate``: merge memories that say the same, say which, or take a merger back."""

import dataclasses
from typing import Annotated, Any

import typer

from memrouter.cli.desk import run_to_end, show_report
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.cli.upkeep_desk import DryRunOption, UserOption, open_upkeep
from memrouter.memory.upkeep.report import ConsolidationReport
from memrouter.memory.upkeep.undoing import Undone
from memrouter.models.history import Actor
from memrouter.models.memory import Scope, check_identity


def consolidate(
    config: ConfigOption = None,
    user: UserOption = None,
    dry_run: DryRunOption = False,
    undo: Annotated[
        str | None,
        typer.Option("--undo", metavar="ID", help="With --user: bring back what was merged into this memory."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Merge memories of the same user, project and type that say the same, in meaning and in words.

    Routers do this by themselves every hour; they may serve meanwhile. The memories that were merged are no longer
    found, but kept for retention.undo_days, so that --undo can bring them back.

    Exit status: 0 done; 2 it failed, 130 interrupted.
    """
    if undo is not None and (user is None or dry_run):
        raise typer.BadParameter("needs --user, and goes without --dry-run", param_hint="--undo")

    async def work() -> ConsolidationReport | Undone:
        user_id = None if user is None else check_identity(user, param="--user")
        async with open_upkeep(config) as upkeep:
            if undo is not None and user_id is not None:
                return await upkeep.undoing.undo(Scope(user_id, None), undo, actor=Actor.OPERATOR)
            return await upkeep.consolidation.run(user_id=user_id, dry_run=dry_run, actor=Actor.OPERATOR)

    outcome = run_to_end(work, again="run the same command again")
    lines = _undone(outcome) if isinstance(outcome, Undone) else _readable(outcome)
    show_report(_facts(outcome), lines, as_json=as_json)


def _facts(outcome: ConsolidationReport | Undone) -> dict[str, Any]:
    facts = dataclasses.asdict(outcome)
    return facts if isinstance(outcome, Undone) else facts | {"fewer": outcome.fewer}


def _undone(undone: Undone) -> list[str]:
    lines = [f"brought back: {', '.join(undone.restored)}"]
    return lines if undone.removed is None else [*lines, f"removed: {undone.removed}"]


def _readable(report: ConsolidationReport) -> list[str]:
    would = "would be" if report.dry_run else "were"
    lines = [f"{', '.join(merger.sources)} -> {merger.memory_id or 'a new memory'}" for merger in report.mergers]
    lines += [
        f"looked at {report.memories} memories of {report.users} users",
        f"{len(report.mergers)} groups {would} merged: {report.fewer} memories fewer are found",
    ]
    if report.refused:
        lines.append(f"{report.refused} groups stay apart: the merged text would not pass the screening")
    if report.outdated:
        lines.append(f"{report.outdated} groups were changed meanwhile; the next run looks at them again")
    return [*lines, "nothing was changed (dry run)"] if report.dry_run else lines

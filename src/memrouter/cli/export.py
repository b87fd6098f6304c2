"""``memrouter export``: write memories into a file."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from memrouter.cli.desk import open_desk, run_to_end, show_report
from memrouter.cli.exit_status import INCOMPLETE_EXIT
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.cli.progress import Bars
from memrouter.clock import SystemClock
from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryType, Source, check_identity
from memrouter.stores.base import MemoryStore
from memrouter.transfer.export_file import FileExport
from memrouter.transfer.exporting import DEFAULT_PAGE, new_manifest, pieces
from memrouter.transfer.format import Filters, json_schema
from memrouter.transfer.progress import Progress
from memrouter.transfer.report import ExportReport
from memrouter.transfer.writer import LineWriter

STDOUT = Path("-")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _print_schema(wanted: bool) -> None:
    if wanted:
        typer.echo(json_schema(), nl=False)
        raise typer.Exit


def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; gzipped if it ends in .gz; - for stdout.")
    ] = None,
    config: ConfigOption = None,
    user: Annotated[str | None, typer.Option(help="Only this user's memories.")] = None,
    project: Annotated[str | None, typer.Option(help="Only memories of this project.")] = None,
    types: Annotated[list[MemoryType] | None, typer.Option("--type", help="Only this type; repeatable.")] = None,
    sources: Annotated[list[Source] | None, typer.Option("--source", help="Only this source; repeatable.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Created at this time or later: RFC 3339, a date alone is UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Created before this time.")] = None,
    vectors: Annotated[bool, typer.Option("--vectors/--no-vectors", help="With their vectors.")] = True,
    page: Annotated[int, typer.Option(min=1, max=10_000, help="Memories that are read at a time.")] = DEFAULT_PAGE,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an export that was broken off.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and write nothing.")] = False,
    as_json: JsonOption = False,
    schema: Annotated[
        bool, typer.Option("--schema", callback=_print_schema, is_eager=True, help="Print the JSON Schema of a line.")
    ] = False,
) -> None:
    """Write memories with every field, one JSON object a line, into a file that memrouter import reads.

    Superseded and expired memories are kept, and so they are exported. Routers may serve meanwhile.

    Exit status: 0 all were written, 1 some could not be (the report says why), 2 the export failed, 130 interrupted.
    """
    del schema
    if file is None and not dry_run:
        raise typer.BadParameter("name a file, or - for stdout", param_hint="FILE")
    times = _moment(since, "--since"), _moment(until, "--until")

    async def work() -> ExportReport:
        filters = Filters(
            user_id=None if user is None else check_identity(user, param="--user"),
            project_id=None if project is None else check_identity(project, param="--project"),
            types=sorted(set(types or ())),
            sources=sorted(set(sources or ())),
            since=times[0],
            until=times[1],
        )
        async with open_desk(config, existing=True) as desk:
            with Bars() as bars:
                if dry_run or file is None or file == STDOUT:
                    return await _stream(desk.store, filters, vectors, page, bars, dry_run=dry_run)
                target = FileExport(desk.store, filters, file, vectors=vectors, progress=bars, page=page)
                return await target.run(resume=resume, now=SystemClock().now_ms())

    report = run_to_end(work, again="run the same command with --resume to go on")
    target = "nowhere (dry run)" if dry_run else str(file)
    beside = file == STDOUT and not dry_run
    show_report(report.as_dict(), _readable(report, target), as_json=as_json, err=beside)
    if report.outcomes.refused or not report.outcomes.balanced:
        raise typer.Exit(INCOMPLETE_EXIT)


async def _stream(
    store: MemoryStore, filters: Filters, vectors: bool, page: int, progress: Progress, *, dry_run: bool
) -> ExportReport:
    """Write to stdout, or nowhere."""
    writer = LineWriter(await new_manifest(store, filters, vectors=vectors, now=SystemClock().now_ms()))
    progress.begin("counting" if dry_run else "exporting", total=writer.manifest.count)
    async for piece in pieces(store, writer, page=page, progress=progress):
        if not dry_run:
            await asyncio.to_thread(_write, piece.data)
    return writer.report(dry_run=dry_run)


def _write(data: bytes) -> None:
    if sys.stdout is None:
        raise InvalidRequest("stdout is closed; name a file")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _readable(report: ExportReport, target: str) -> list[str]:
    done = report.outcomes
    lines = [
        f"exported {report.memories} memories of {report.users} users to {target}",
        f"{report.hidden} of them are superseded or expired",
        f"read {done.read} = written {done.added} + left out {done.left_out} + refused {done.refused}",
        *(f"refused: {refusal.reason}" for refusal in done.refusals),
    ]
    return lines if report.dry_run else [*lines, f"{report.size} bytes, sha256 {report.sha256}"]


def _moment(text: str | None, param: str) -> int | None:
    """Return milliseconds since the epoch."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("not a time such as 2026-01-31 or 2026-01-31T09:30:00Z", param_hint=param) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, (moment - _EPOCH) // timedelta(milliseconds=1))

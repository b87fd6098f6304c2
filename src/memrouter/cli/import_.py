"""``memrouter import``: take memories from a file."""

import asyncio
import hashlib
import random
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Annotated, BinaryIO

import typer

from memrouter.cli.desk import Desk, open_desk, run_to_end, show_report
from memrouter.cli.exit_status import INCOMPLETE_EXIT
from memrouter.cli.options import ConfigOption, JsonOption
from memrouter.cli.progress import Bars
from memrouter.clock import SystemClock
from memrouter.errors import InvalidRequest
from memrouter.memory.storing.write_gate import WriteGate
from memrouter.stores.query import MergeMode
from memrouter.transfer.files import chunks, is_gzip
from memrouter.transfer.foreign.convert import Conversion, Foreign, convert
from memrouter.transfer.foreign.memory import Owners
from memrouter.transfer.gate import ScreenedGate, storable
from memrouter.transfer.import_file import FileImport, import_state
from memrouter.transfer.importing import DEFAULT_BATCH, Importer
from memrouter.transfer.owners import chosen_owners
from memrouter.transfer.reader import Claim
from memrouter.transfer.report import ImportReport, Outcomes

STDIN = Path("-")


def import_memories(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where from; gzipped if it ends in .gz; - for stdin.")],
    config: ConfigOption = None,
    merge: Annotated[
        MergeMode, typer.Option(help="Where a memory of the same id is there: keep it, replace it, or keep the newer.")
    ] = MergeMode.SKIP,
    map_user: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Give OLD's memories to NEW; repeatable.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Only memories that are this user's in the file.")] = None,
    origin: Annotated[
        Foreign | None, typer.Option("--from", help="What wrote the file, where that was not memrouter export.")
    ] = None,
    default_user: Annotated[str | None, typer.Option(help="With --from: owner of memories that name no user.")] = None,
    keep_projects: Annotated[
        bool,
        typer.Option("--keep-projects", help="With --from: agents and namespaces become projects; else all is in one."),
    ] = False,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Memories that are written at a time.")] = DEFAULT_BATCH,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an import that was broken off.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the whole file and tell what would happen; write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring in memories from a file that memrouter export wrote, with every field as it was.

    Every memory is screened as one that is written: secrets are taken out, and what looks like an instruction to the
    model is quarantined. What its owner has already is passed over, and nobody gets more than max_memories_per_user.

    The file is not believed: nothing from its first damaged line on is imported, and the line is named. Importing it
    again changes nothing more. Routers may serve meanwhile.

    With --from, the file is an export of mem0 (what get_all() gives, as JSON) or of Redis Agent Memory Server (its
    long-term memories, as JSON): one document or one object a line.

    Exit status: 0 all is in, 1 the file is damaged or memories were refused (the report says which), 2 the import
    failed, 130 interrupted.
    """
    owners = Owners(default_user, keep_projects)

    async def work() -> tuple[ImportReport, Conversion | None]:
        if origin is None and owners != Owners():
            raise InvalidRequest("--default-user and --keep-projects are for --from; see --map-user")
        claim = chosen_owners(only=user, renamed=_pairs(map_user or []))
        with _opened(file) as given, TemporaryDirectory() as folder, TemporaryFile() as converted:
            scratch = Path(folder, "empty.db") if dry_run else None
            async with open_desk(config, existing=False, scratch=scratch) as desk:
                options = _digest(
                    str(desk.store.capabilities), config, merge, sorted(map_user or []), user, origin, owners
                )
                source, gzipped, conversion = given, is_gzip(file), None
                if origin is not None:
                    conversion = await _converted(given, converted, origin, owners, desk, gzipped=gzipped)
                    source, gzipped = converted, False
                with Bars() as bars:
                    importer = _importer(desk, mode=merge, batch=batch, dry_run=dry_run)
                    reading = _reading(importer, desk, claim, bars, file, options, noted=not dry_run)
                    return await reading.run(source, gzipped=gzipped, resume=resume, dry_run=dry_run), conversion

    report, conversion = run_to_end(work, again="run the same command with --resume to go on")
    shown, lines = report.as_dict(), _readable(report)
    if conversion is not None:
        shown, lines = {**shown, "conversion": conversion.as_dict()}, [*_converted_lines(conversion), *lines]
    show_report(shown, lines, as_json=as_json)
    if report.damage is not None:
        typer.echo(
            f"line {report.damaged_line}: {report.damage}; nothing from this line on was imported",
            err=True,
        )
    skipped = conversion is not None and conversion.skipped
    if report.damage is not None or report.outcomes.refused or skipped or not report.outcomes.balanced:
        raise typer.Exit(INCOMPLETE_EXIT)


async def _converted(
    given: BinaryIO, target: BinaryIO, origin: Foreign, owners: Owners, desk: Desk, *, gzipped: bool
) -> Conversion:
    """Write the memories of a foreign file to ``target``."""
    now, about = SystemClock().now_ms(), desk.store.capabilities
    pieces = chunks(given, gzipped=gzipped)
    return await asyncio.to_thread(convert, pieces, target, origin=origin, owners=owners, about=about, now=now)


def _converted_lines(conversion: Conversion) -> list[str]:
    dropped = conversion.as_dict()["dropped"]
    return [
        f"found {conversion.read} memories, skipped {conversion.skipped}",
        *(f"skipped: number {reason.line}: {reason.reason}" for reason in conversion.reasons),
        *(f"not kept: {name} of {count} memories" for name, count in dropped.items()),
    ]


def _importer(desk: Desk, *, mode: MergeMode, batch: int, dry_run: bool) -> Importer:
    clock = SystemClock()
    now = clock.now_ms()
    gate = WriteGate.configured(
        desk.settings, store=desk.store, embedder=desk.embedder, clock=clock, rng=random.Random()
    )
    screened = ScreenedGate(storable, gate.admission.screen, now=now, believed=True)
    return Importer(
        desk.store,
        desk.embedder,
        mode=mode,
        gate=screened,
        batch=batch,
        dry_run=dry_run,
        distinct_at=now,
        trim=gate.trim,
    )


def _reading(
    importer: Importer, desk: Desk, claim: Claim, bars: Bars, file: Path, options: str, *, noted: bool
) -> FileImport:
    """Return the import of ``file``; from stdin nothing is noted, since it cannot be read from its start again."""
    state = import_state(file) if noted and file != STDIN else None
    return FileImport(importer, desk.store.capabilities, claim=claim, progress=bars, state=state, options=options)


def _opened(file: Path) -> BinaryIO | nullcontext[BinaryIO]:
    if file != STDIN:
        return file.open("rb")
    if sys.stdin is None:
        raise InvalidRequest("stdin is closed; name a file")
    return nullcontext(sys.stdin.buffer)


def _pairs(given: list[str]) -> dict[str, str]:
    """Return the new owner by the old one; a name may hold ``=`` only where it is the new one's."""
    pairs: dict[str, str] = {}
    for pair in given:
        old, found, new = pair.partition("=")
        if not found or not old or not new:
            raise InvalidRequest("--map-user: give OLD=NEW, two user ids with = between them")
        if pairs.setdefault(old, new) != new:
            raise InvalidRequest("--map-user: one user is given two new names")
    return pairs


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _readable(report: ImportReport) -> list[str]:
    done = report.outcomes
    lines = [
        "dry run: nothing was written; this is what would happen"
        if report.dry_run
        else f"imported {done.read} memories",
        f"read {done.read} = {' + '.join(f'{name} {value}' for name, value in _parts(done))}",
        _further(done),
        *(f"refused: line {refusal.line}: {refusal.reason}" for refusal in done.refusals),
    ]
    return [*lines, f"sha256 {report.sha256}, as the trailer says"] if report.sha256 else lines


def _further(done: Outcomes) -> str:
    taken = f"embedded {done.reembedded}, mended {done.mended}, renamed {done.renamed}"
    return f"{taken}, quarantined {done.quarantined}, evicted {done.evicted}"


def _parts(done: Outcomes) -> list[tuple[str, int]]:
    return [
        ("added", done.added),
        ("replaced", done.replaced),
        ("kept", done.kept),
        ("left out", done.left_out),
        ("duplicates", done.duplicates),
        ("refused", done.refused),
    ]

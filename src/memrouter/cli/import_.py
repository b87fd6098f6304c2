"""``memrouter import``: take memories from a file."""

import hashlib
import random
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, BinaryIO

import typer

from memrouter.cli.desk import INCOMPLETE_EXIT, ConfigOption, Desk, JsonOption, open_desk, run_to_end, show_report
from memrouter.cli.progress import Bars
from memrouter.clock import SystemClock
from memrouter.errors import InvalidRequest
from memrouter.memory.storing.write_gate import WriteGate
from memrouter.stores.query import MergeMode
from memrouter.transfer.files import is_gzip
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

    Exit status: 0 all is in, 1 the file is damaged or memories were refused (the report says which), 2 the import
    failed, 130 interrupted.
    """

    async def work() -> ImportReport:
        claim = chosen_owners(only=user, renamed=_pairs(map_user or []))
        with _opened(file) as source, TemporaryDirectory() as folder:
            scratch = Path(folder, "empty.db") if dry_run else None
            async with open_desk(config, existing=False, scratch=scratch) as desk:
                options = _digest(str(desk.store.capabilities), config, merge, sorted(map_user or []), user)
                with Bars() as bars:
                    importer = _importer(desk, mode=merge, batch=batch, dry_run=dry_run)
                    reading = _reading(importer, desk, claim, bars, file, options, noted=not dry_run)
                    return await reading.run(source, gzipped=is_gzip(file), resume=resume, dry_run=dry_run)

    report = run_to_end(work, again="run the same command with --resume to go on")
    show_report(report.as_dict(), _readable(report), as_json=as_json)
    if report.damage is not None:
        typer.echo(
            f"line {report.damaged_line}: {report.damage}; nothing from this line on was imported",
            err=True,
        )
    if report.damage is not None or report.outcomes.refused or not report.outcomes.balanced:
        raise typer.Exit(INCOMPLETE_EXIT)


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

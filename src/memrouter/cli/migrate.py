"""``memrouter migrate``: move all memories from one configured store to another."""

import hashlib
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from memrouter.cli.desk import open_desk, run_to_end, show_report
from memrouter.cli.exit_status import INCOMPLETE_EXIT
from memrouter.cli.options import JsonOption
from memrouter.cli.progress import Bars
from memrouter.clock import SystemClock
from memrouter.config.check_migration import store_place
from memrouter.config.load import load_settings
from memrouter.errors import InvalidRequest
from memrouter.stores.query import MergeMode
from memrouter.transfer.exporting import DEFAULT_PAGE
from memrouter.transfer.migrate import MigrateOptions, MigrateReport, MigrateState, Migration
from memrouter.transfer.reconcile import Reconciliation
from memrouter.transfer.side_file import SideFile


def migrate(
    source: Annotated[Path, typer.Option("--from", metavar="CONFIG", help="Configuration of the store to move.")],
    target: Annotated[Path, typer.Option("--to", metavar="CONFIG", help="Configuration of the store to move to.")],
    merge: Annotated[
        MergeMode, typer.Option(help="Where a memory of the same id is there: keep it, replace it, or keep the newer.")
    ] = MergeMode.NEWER,
    page: Annotated[
        int, typer.Option(min=1, max=10_000, help="Memories that are read and written at a time.")
    ] = DEFAULT_PAGE,
    sample: Annotated[int, typer.Option(min=0, max=100_000, help="Memories that are read back one by one.")] = 100,
    seed: Annotated[int | None, typer.Option(help="Makes the choice of these repeatable.")] = None,
    state: Annotated[Path, typer.Option(help="File that says how far it is, while it is not done.")] = Path(
        "memrouter-migrate.state"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a migration that was broken off.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read everything and tell what would happen; write no memory.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Move all memories from one store to another, and prove that they are there.

    Both files are whole router configurations. Every field is kept; where the embedding models differ, vectors are
    made anew from the texts with the target's. The source is only read. Running it again brings over what has changed
    since and changes nothing else; what was deleted in the source meanwhile stays in the target. To move while routers
    serve, see live migration.

    Exit status: 0 everything is in the target, 1 something is missing or was refused (the report says what), 2 it
    could not be done, 130 interrupted.
    """

    async def work() -> MigrateReport:
        identity = _identity(source, target)
        rng = random.SystemRandom() if seed is None else random.Random(seed)
        async with AsyncExitStack() as stack:
            left = await stack.enter_async_context(open_desk(source, existing=True))
            scratch = Path(stack.enter_context(TemporaryDirectory())) / "empty.db" if dry_run else None
            right = await stack.enter_async_context(open_desk(target, existing=False, scratch=scratch))
            bars = stack.enter_context(Bars())
            migration = Migration(
                left.store,
                right.store,
                right.embedder,
                options=MigrateOptions(mode=merge, page=page, sample=sample, dry_run=dry_run),
                rng=rng,
                clock=SystemClock(),
                progress=bars,
                state=SideFile(state, MigrateState),
                identity=identity,
            )
            return await migration.run(resume=resume)

    report = run_to_end(work, again="run the same command with --resume to go on")
    show_report(report.as_dict(), _readable(report), as_json=as_json)
    if not report.complete:
        raise typer.Exit(INCOMPLETE_EXIT)


def _identity(source: Path, target: Path) -> str:
    """Return a digest of from where to where.

    Raises:
        InvalidRequest: Both are the same place.
    """
    places = [store_place(load_settings(file, env=os.environ).settings.memory) for file in (source, target)]
    if places[0] == places[1]:
        raise InvalidRequest("--from and --to lead to the same memories; name the configuration of another store")
    return hashlib.sha256(repr(places).encode()).hexdigest()


def _readable(report: MigrateReport) -> list[str]:
    done, proof = report.outcomes, report.proof
    parts = f"added {done.added} + replaced {done.replaced} + kept {done.kept} + refused {done.refused}"
    lines = [
        "dry run: nothing was written; this is what would happen" if proof is None else f"moved {done.read} memories",
        f"read {done.read} = {parts}",
        f"embedded {done.reembedded}, mended {done.mended}, renamed {done.renamed}",
        f"facts beside the memories (keys, switches, reply chains): {report.facts} brought over",
        *(f"refused: memory {refusal.line}: {refusal.reason}" for refusal in done.refusals),
    ]
    return lines if proof is None else [*lines, *_proven(proof)]


def _proven(proof: Reconciliation) -> list[str]:
    found = (
        f"in the target: {proof.equal} equal + {proof.different} kept in another version + {proof.missing} missing "
        f"= {proof.memories} memories; {proof.whole_users} of {proof.users} users whole; "
        f"{proof.only_target} of the target's own"
    )
    lines = [
        found,
        f"read back one by one: {proof.sample_equal} of {proof.sampled} as in the source",
        f"source sha256 {proof.source_sha256}",
        f"target sha256 {proof.target_sha256}",
    ]
    if not proof.complete:
        lines.append("NOT COMPLETE: was the source written to meanwhile? Run the command again")
    return lines

"""``memrouter eval``: measure retrieval, thresholds, isolation and the gate before storing."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random, SystemRandom
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.progress import Progress as Bars

from memrouter.cli.eval_tables import calibration_tables, gate_tables, isolation_tables, locomo_tables, noise_tables
from memrouter.cli.exit_status import FAILED_EXIT, INCOMPLETE_EXIT, INTERRUPTED_EXIT
from memrouter.cli.options import JsonOption
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.doctor.findings import printable
from memrouter.embeddings.factory import MODEL_VARIABLE
from memrouter.errors import InvalidRequest, MemrouterError
from memrouter.evaluation.arms import all_arms, chosen_arms
from memrouter.evaluation.bench import Bench, Progress, open_bench
from memrouter.evaluation.calibration import Calibration, find_threshold, gather_scores
from memrouter.evaluation.circumstances import Circumstances, circumstances
from memrouter.evaluation.comparison import ArmReport, compare
from memrouter.evaluation.conversations import DataSet, sampled, strata
from memrouter.evaluation.gate import measure_gate
from memrouter.evaluation.gate_corpus import Half, bundled_cases, read_cases
from memrouter.evaluation.isolation import IsolationReport, probe_isolation
from memrouter.evaluation.locomo import read_data_set, read_sample
from memrouter.evaluation.noise import NoiseReport, measure_noise
from memrouter.evaluation.off_topic import general_questions
from memrouter.evaluation.trial import try_arms
from memrouter.memory.policy import RecallPolicy, resolve_policy
from memrouter.memory.screening.screen import Screen

MAX_K = 1000
_PIPE_WIDTH = 160

eval_app = typer.Typer(
    no_args_is_help=True, help="Measure retrieval, thresholds, isolation and the gate. Works offline."
)

T = TypeVar("T")

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Conversations in LoCoMo's form; without, the bundled ones.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration whose store is used; without one, a temporary SQLite file."),
]
EmbedderOption = Annotated[
    str | None, typer.Option("--embedder", metavar="NAME", help="Another embedding_model than the configured one.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of resampling and drawing.")]
ConversationsOption = Annotated[
    int | None, typer.Option("--conversations", min=1, help="Most conversations, for a quick run.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Most questions of each conversation, drawn at random.")
]


@eval_app.command()
def locomo(
    file: FileArgument = None,
    config: ConfigOption = None,
    embedder: EmbedderOption = None,
    k: Annotated[str, typer.Option("--k", metavar="K,K,…", help="Places that count.")] = "5,10,20",
    mode: Annotated[
        Literal["rerank", "weighted", "rrf"] | None, typer.Option(help="Mode of the default arm and its ablations.")
    ] = None,
    arms: Annotated[
        str, typer.Option("--arms", metavar="NAME,NAME,…", help="Only these arms beside the default one.")
    ] = "",
    as_json: JsonOption = False,
    conversations: ConversationsOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
) -> None:
    """Measure how much of the labelled evidence is among the first k memories, for several ways of retrieval.

    One user a conversation, one memory a turn, threshold 0. Exit status: 0 measured, 2 not possible.
    """
    with _failing():
        ks = _numbers(k, option="--k", most=MAX_K)
        if not ks:
            raise InvalidRequest("--k names no place that counts; the default is 5,10,20")
        data = _data(file, conversations, limit, seed)
        wanted = [name.strip() for name in arms.split(",") if name.strip()]

        async def work(bench: Bench, progress: Progress) -> tuple[Circumstances, list[ArmReport]]:
            policy = _policy(bench)
            default = replace(policy, limit=ks[-1], threshold=0.0, adaptive=False, mode=mode or policy.mode)
            chosen = chosen_arms(all_arms(default, reranker=bench.reranker is not None), wanted)
            sheets = await try_arms(
                bench, data.conversations, chosen, ks=ks, inject_limit=policy.limit, progress=progress
            )
            kinds = [question.category for conversation in data.conversations for question in conversation.questions]
            groups = strata(data.conversations)
            reports = await asyncio.to_thread(compare, sheets, categories=kinds, strata=groups, seed=seed)
            return circumstances(bench, data, seed=seed), reports

        about, reports = _measured(config, embedder, work)
    _show({"about": about, "arms": reports}, locomo_tables(about, reports), as_json=as_json)


@eval_app.command()
def noise(
    file: FileArgument = None,
    config: ConfigOption = None,
    embedder: EmbedderOption = None,
    sizes: Annotated[
        str, typer.Option("--sizes", metavar="N,N,…", help="Memories in a history; whole histories always come last.")
    ] = "50,200",
    as_json: JsonOption = False,
    conversations: ConversationsOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
) -> None:
    """Measure how often off-topic questions bring anything back at the configured threshold, and what it costs.

    Exit status: 0 measured, 2 not possible.
    """
    with _failing():
        lengths = _numbers(sizes, option="--sizes", most=1_000_000)
        data = _data(file, conversations, limit, seed)
        general = general_questions()

        async def work(bench: Bench, progress: Progress) -> tuple[Circumstances, NoiseReport]:
            report = await measure_noise(
                bench,
                data.conversations,
                general,
                _policy(bench),
                sizes=(*lengths, None),
                seed=seed,
                progress=progress,
            )
            return circumstances(bench, data, seed=seed), report

        about, report = _measured(config, embedder, work)
    _show({"about": about, "noise": report}, noise_tables(about, report), as_json=as_json)


@eval_app.command()
def calibrate(
    file: FileArgument = None,
    config: ConfigOption = None,
    embedder: EmbedderOption = None,
    off_topic: Annotated[
        float, typer.Option("--off-topic", min=0, max=1, help="Most off-topic questions that may find anything.")
    ] = 0.05,
    loss: Annotated[
        float, typer.Option("--loss", min=0, max=1, help="Most recall@10 that may be lost against threshold 0.")
    ] = 0.03,
    as_json: JsonOption = False,
    conversations: ConversationsOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
) -> None:
    """Find the threshold that keeps off-topic questions quiet, and show what each threshold would do.

    Exit status: 0 one fits, 1 none does, 2 not possible.
    """
    with _failing():
        data = _data(file, conversations, limit, seed)
        general = general_questions()

        async def work(bench: Bench, progress: Progress) -> tuple[Circumstances, Calibration]:
            policy = _policy(bench)
            scores = await gather_scores(bench, data.conversations, general, policy, progress=progress)
            declared = bench.embedder.info.default_threshold
            found = await asyncio.to_thread(
                find_threshold, scores, declared=declared, most_off_topic=off_topic, most_loss=loss
            )
            return circumstances(bench, data, seed=seed), found

        about, found = _measured(config, embedder, work)
    _show({"about": about, "calibration": found}, calibration_tables(about, found), as_json=as_json)
    if not found.fits:
        raise typer.Exit(INCOMPLETE_EXIT)


@eval_app.command()
def isolation(
    config: ConfigOption = None,
    embedder: EmbedderOption = None,
    users: Annotated[int, typer.Option("--users", min=2, max=10_000, help="Users with nearly equal memories.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Check that nobody gets at another user's memories, with hostile names and everybody asking at once.

    Exit status: 0 it holds, 1 it does not, 2 not possible.
    """
    with _failing():

        async def work(bench: Bench, progress: Progress) -> tuple[str, IsolationReport]:
            report = await probe_isolation(bench, users=users, rng=SystemRandom(), progress=progress)
            return bench.store.capabilities.backend, report

        store, report = _measured(config, embedder, work)
    _show(
        {"store": store, "isolation": report, "holds": report.holds}, isolation_tables(store, report), as_json=as_json
    )
    if not report.holds:
        raise typer.Exit(INCOMPLETE_EXIT)


@eval_app.command()
def gate(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Labelled cases, or conversations in LoCoMo's form; without, the bundled cases."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Configuration whose redaction and quarantine are measured.")
    ] = None,
    half: Annotated[Half, typer.Option(help="Which half of the bundled cases.")] = "test",
    each: Annotated[int, typer.Option("--each", min=1, max=10_000, help="Most bundled cases of a kind.")] = 200,
    misses: Annotated[int, typer.Option("--misses", min=0, help="Most texts of a kind to show that went wrong.")] = 0,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Measure how well junk, attacks and secrets are told from what is worth remembering.

    Exit status: 0 measured, 2 not possible.
    """
    with _failing():
        memory = load_settings(config, env=dict(os.environ)).settings.memory
        cases = bundled_cases(half, each=each, seed=seed) if file is None else read_cases(file)
        report = measure_gate(Screen(memory.redaction, memory.quarantine), cases, shown=misses)
    _show(
        {"file": None if file is None else file.name, "half": half if file is None else None, "gate": report},
        gate_tables(report),
        as_json=as_json,
    )


def _measured(
    config: Path | None, embedder: str | None, work: Callable[[Bench, Progress], Coroutine[Any, Any, T]]
) -> T:
    """Return what ``work`` gives on an open bench, with progress on a terminal's stderr."""
    env = {name: value for name, value in os.environ.items() if embedder is None or name != MODEL_VARIABLE}
    named = {} if embedder is None else {"global": {"stores": {"memory": {"embedding_model": embedder}}}}
    memory = load_settings(config, env=env, overrides=named).settings.memory
    with Bars(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bars:
        task = bars.add_task("loading", total=None)

        def progress(doing: str, done: int, total: int) -> None:
            bars.update(task, description=doing, completed=done, total=total)

        async def run() -> T:
            opening = open_bench(memory, temporary=config is None, env=env, clock=SystemClock(), rng=SystemRandom())
            async with opening as bench:
                return await work(bench, progress)

        return asyncio.run(run())


@contextmanager
def _failing() -> Iterator[None]:
    """End the program with a message and no traceback where something cannot be measured."""
    try:
        yield
    except MemrouterError as error:
        typer.echo(printable(str(error)), err=True)
        raise typer.Exit(FAILED_EXIT) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; what was stored for the measurement has been removed", err=True)
        raise typer.Exit(INTERRUPTED_EXIT) from None


def _data(file: Path | None, conversations: int | None, limit: int | None, seed: int) -> DataSet:
    whole = read_sample() if file is None else read_data_set(file)
    return sampled(whole, conversations=conversations, questions=limit, rng=Random(seed))


def _policy(bench: Bench) -> RecallPolicy:
    return resolve_policy(bench.settings, None, default_threshold=bench.embedder.info.default_threshold).recall


def _numbers(text: str, *, option: str, most: int) -> list[int]:
    """Return the numbers of a list such as ``5,10``, ascending, none twice."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 and 1 <= int(part) <= most for part in parts):
        raise InvalidRequest(f"{option} takes numbers from 1 to {most} with commas between, such as 5,10")
    return sorted({int(part) for part in parts})


def _show(report: dict[str, object], tables: Iterable[RenderableType], *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    for table in tables:
        console.print(table)

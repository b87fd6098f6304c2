"""``python -m benchmarks.overhead``: what a router in the middle costs each request, by what the router does."""

import argparse
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import people
from benchmarks.arguments import parameters, parser, positive
from benchmarks.load.generator import Generator, echo_server, load_generator
from benchmarks.report import Report, Sheet, rates
from benchmarks.routers import (
    Running,
    check_all_stored,
    checked,
    counters,
    fill,
    litellm,
    memrouter,
    plain_settings,
)
from benchmarks.running import finish
from benchmarks.sampling import Spread, quotient
from benchmarks.usage import cpu_seconds, rss_bytes, settled
from memrouter.demo.processes import DemoError, free_port
from memrouter.testing.valkey import ValkeyServer

PER_USER, TURNS_EACH = 100, 200
WARM_CLIENTS, WARM_TURNS = 8, 5
LEAST_RATE = 10_000
"""Answers per second that clients and model server must manage without a router, or they would be what is measured."""
ARMS = {
    "direct": "direct, no router",
    "none": "memrouter: no memory",
    "sqlite": "memrouter: SQLite",
    "sqlite-2": "memrouter: SQLite, 2 workers",
    "sqlite-recall": "memrouter: SQLite, recall only",
    "valkey": "memrouter: Valkey",
    "valkey-read": "memrouter: Valkey, read each time",
    "hot": "memrouter: hot cache hit",
    "litellm": "LiteLLM proxy",
}
"""Names by key."""
TWO = 2
"""Worker processes of the arm that has several."""
EXPLAINED = (
    f"Each user has {PER_USER} memories at first; half of the turns tell something new, half ask about it. Memory "
    "means recall before the answer and storing of the turn after it, as by default. *Recall only* stores nothing. "
    "*Read each time*: recall only, and the process holds no memories between questions, as where more users ask than "
    "it has room for; *hot cache hit*: the same with the hot cache, which has each answer. *Added* "
    "is what is slower than direct, round by round. *Answers/s* count the time until the last turn is stored, too."
)
STORING_ARMS = ("sqlite", "sqlite-2", "valkey")
MEMORY_ARMS = ("sqlite", "sqlite-2", "sqlite-recall", "valkey", "valkey-read", "hot")


@dataclass(slots=True)
class Run:
    """What one arm did in all rounds of one setting, a number a round.

    Attributes:
        p50: Median milliseconds of an answer.
        p99: The 99th percentile.
        rate: Answers per second.
        first50: Median milliseconds to the first token.
        first99: The 99th percentile.
        gap50: Median milliseconds between tokens.
        gap99: The 99th percentile.
        cpu: Milliseconds of processor time per answer, storing included.
        rss: Resident memory in MB at the end.
        used: Share of answers that memories were injected for.
        failures: Answers that were not 200.
    """

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    first50: list[float] = field(default_factory=list)
    first99: list[float] = field(default_factory=list)
    gap50: list[float] = field(default_factory=list)
    gap99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    failures: int = 0

    def take(self, seen: Any, *, cpu: float, rss: float) -> None:
        """Add a round."""
        answers = len(seen["latencies"])
        self.failures += seen["failures"]
        if not answers:
            raise RuntimeError("not one request was answered with status 200")
        for name, share, values in (
            ("p50", 0.5, seen["latencies"]),
            ("p99", 0.99, seen["latencies"]),
            ("first50", 0.5, seen["firsts"]),
            ("first99", 0.99, seen["firsts"]),
            ("gap50", 0.5, seen["gaps"] or [0.0]),
            ("gap99", 0.99, seen["gaps"] or [0.0]),
        ):
            getattr(self, name).append(float(np.quantile(values, share)) * 1000)
        self.rate.append(answers / seen["seconds"])
        self.cpu.append(cpu * 1000 / answers)
        self.rss.append(rss / 2**20)
        self.used.append(seen["used"] / answers)


async def open_arms(
    stack: AsyncExitStack, folder: Path, names: Sequence[str], users: int, report: Report, console: Console
) -> dict[str, Running]:
    """Start what is to be measured; what cannot be started is noted in the report, if it is not ours."""
    upstream, upstream_pid = await stack.enter_async_context(echo_server(folder))
    arms = {"direct": Running(upstream, upstream_pid)}
    valkey = None
    if {"valkey", "valkey-read", "hot"} & set(names):
        valkey = await stack.enter_async_context(ValkeyServer())
    for name in names:
        if name == "litellm":
            try:
                arms[name] = await stack.enter_async_context(litellm(folder, upstream))
            except DemoError as error:
                report.failed(ARMS[name], str(error), console)
        elif name != "direct":
            memory = memory_settings(name, folder, None if valkey is None else valkey.port)
            configuration = plain_settings(upstream, port=free_port(), memory=memory)
            if name in MEMORY_ARMS:
                await fill(checked(configuration).memory, range(users), PER_USER)
            workers = TWO if name == "sqlite-2" else 1
            arms[name] = await stack.enter_async_context(memrouter(folder, configuration, name=name, workers=workers))
    return arms


def memory_settings(arm: str, folder: Path, valkey: int | None) -> dict[str, Any]:
    """Return ``global.stores.memory`` of an arm."""
    sqlite = {"backend": "sqlite", "sqlite": {"path": str(folder / f"{arm}.db")}}
    block = {"host": "127.0.0.1", "port": valkey, "collection_prefix": f"{arm}:", "index_name": arm}
    match arm:
        case "none":
            return {"enabled": False}
        case "sqlite" | "sqlite-2":
            return sqlite
        case "sqlite-recall":
            return {**sqlite, "auto_store": False}
        case "valkey":
            return {"backend": "valkey", "valkey": block}
        case _:
            limits = {"working_set_bytes": 0}  # else the process itself holds what it has read
            reading = {"backend": "valkey", "valkey": block, "limits": limits, "auto_store": False}
            cache = {"enabled": True, "address": f"127.0.0.1:{valkey}", "db": 1}
            return reading if arm == "valkey-read" else {**reading, "redis_cache": cache}


async def measure_arms(
    generator: Generator, arms: dict[str, Running], report: Report, console: Console, chosen: argparse.Namespace
) -> dict[tuple[bool, int, str], Run]:
    """Have every arm asked in every setting, in turns; return what each did by streaming, clients and arm."""
    runs: dict[tuple[bool, int, str], Run] = defaultdict(Run)
    rng, lost = random.Random(0), set[str]()
    for arm in arms.values():
        await generator.run(arm.port, clients=WARM_CLIENTS, seconds=0, least=chosen.users * WARM_TURNS)
    for stream in (False, True):
        for clients in chosen.stream_clients if stream else chosen.clients:
            for number in range(-1, chosen.rounds):
                for name in rng.sample(list(arms), len(arms)):
                    if name in lost:
                        continue
                    try:
                        seen, cpu, rss = await asked(
                            generator, arms[name], stream, clients, chosen.seconds, storing=name in STORING_ARMS
                        )
                        run = runs[stream, clients, name] if number >= 0 else Run()
                        run.take(seen, cpu=cpu, rss=rss)
                    except (RuntimeError, OSError) as error:
                        if name != "litellm":
                            raise
                        lost.add(name)
                        report.failed(ARMS[name], str(error), console)
    return {key: run for key, run in runs.items() if key[2] not in lost}


async def asked(
    generator: Generator, arm: Running, stream: bool, clients: int, seconds: float, *, storing: bool
) -> tuple[Any, float, float]:
    """Return what the clients saw, the processor time that it took and the memory of the process after it.

    Args:
        generator: Asks.
        arm: Who is asked.
        stream: Whether answers are streamed.
        clients: How many at once.
        seconds: How long.
        storing: Whether turns are stored: the time counts until the last one is.
    """
    before = cpu_seconds(arm.pid)
    seen = await generator.run(arm.port, clients=clients, seconds=seconds, stream=stream)
    ended = time.perf_counter()
    idle_since = await settled(arm.pid)
    cpu, rss = cpu_seconds(arm.pid) - before, rss_bytes(arm.pid)
    if storing:
        seen["seconds"] += max(0.0, idle_since - ended)
        await check_all_stored(arm.port)
    return seen, cpu, rss


def tell(runs: dict[tuple[bool, int, str], Run], chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Put tables and figures into the report."""
    for stream in (False, True):
        for clients in chosen.stream_clients if stream else chosen.clients:
            found = {name: runs[stream, clients, name] for name in ARMS if (stream, clients, name) in runs}
            if "direct" in found:
                _tell_setting(found, stream, clients, report, console)
    for clients in chosen.clients:
        for name in MEMORY_ARMS:
            ours, theirs = runs.get((False, clients, name)), runs.get((False, clients, "litellm"))
            if ours and theirs:
                direct = runs[False, clients, "direct"]
                added = quotient(_less(ours.p50, direct.p50), _less(theirs.p50, direct.p50))
                report.figures[f"added_p50_to_litellm.{name}.{clients}"] = added
                report.figures[f"rate_to_litellm.{name}.{clients}"] = quotient(ours.rate, theirs.rate)


def _tell_setting(found: dict[str, Run], stream: bool, clients: int, report: Report, console: Console) -> None:
    form, direct = "streamed" if stream else "whole", found["direct"]
    extra = ("1st token p50", "p99", "added p50", "between tokens p50", "p99") if stream else ()
    sheet = Sheet(
        f"{clients} clients, {form} answers" if clients > 1 else f"1 client, {form} answers",
        ("", "p50 ms", "p99", "added p50", "least to most", "x direct", *extra, "answers/s", "least to most",
         "CPU ms each", "RSS MB", "recalled"),
    )  # fmt: skip
    for name, run in found.items():
        added = Spread.of(_less(run.p50, direct.p50))
        first = Spread.of(_less(run.first50, direct.first50))
        prefix = f"{form}.{name}.{clients}"
        report.figures[f"{prefix}.added_p50_ms"] = added
        report.figures[f"{prefix}.added_first_token_ms"] = first
        for figure in ("p50", "p99", "rate", "cpu", "rss"):
            report.figures[f"{prefix}.{figure}"] = Spread.of(getattr(run, figure))
        middle = [f"{float(np.median(getattr(run, key))):.2f}" for key in ("first50", "first99", "gap50", "gap99")]
        sheet.rows.append(
            (
                ARMS[name],
                f"{float(np.median(run.p50)):.2f}",
                f"{float(np.median(run.p99)):.2f}",
                *((f"{added.median:.2f}", f"{added.low:.2f} to {added.high:.2f}") if run is not direct else ("", "")),
                f"{quotient(run.p50, direct.p50).median:.1f}",
                *((*middle[:2], "" if run is direct else f"{first.median:.2f}", *middle[2:]) if stream else ()),
                *rates(Spread.of(run.rate)),
                f"{float(np.median(run.cpu)):.2f}",
                f"{float(np.median(run.rss)):.0f}",
                f"{float(np.median(run.used)):.0%}" if name in MEMORY_ARMS else "",
            )
        )
        if run.failures:
            report.failures[f"{ARMS[name]}, {sheet.title}"] = f"{run.failures} answers failed"
    report.add(sheet, console)


def _less(values: Sequence[float], base: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, base, strict=True)]


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything."""
    report = Report(
        "overhead", "Router overhead", parameters(chosen, ("rounds", "seconds", "users", "clients", "stream_clients"))
    )
    names = [name for name in ARMS if name in chosen.arms and (chosen.peers or name != "litellm")]
    turns = people.said(range(chosen.users), PER_USER, chosen.users * TURNS_EACH)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            arms = await open_arms(stack, folder, names, chosen.users, report, console)
            generator = await stack.enter_async_context(load_generator(turns, folder))
            runs = await measure_arms(generator, arms, report, console, chosen)
            tell(runs, chosen, report, console)
            report.sheets[0].note = EXPLAINED
            if "hot" in arms:
                report.sheets[0].note += f" It had {await hot_share(arms['hot']):.1%} of what it was asked for."
    rates_of = [
        figure.median for name, figure in report.figures.items() if re.fullmatch(r"whole\.direct\.\d+\.rate", name)
    ]
    if max(rates_of, default=0.0) < LEAST_RATE:
        report.failed("the load generator", f"it was slower than {LEAST_RATE:,} answers/s without a router", console)
    return report


async def hot_share(router: Running) -> float:
    """Return which share of its searches a router was answered from the hot cache."""
    name = "memrouter_cache_searches_total"
    found = {key: value for key, value in (await counters(router.port)).items() if key.startswith(name)}
    return found.get(f'{name}{{outcome="hit"}}', 0.0) / max(1.0, sum(found.values()))


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    arguments = parser(__doc__ or "", peers=True)
    arguments.add_argument(
        "--clients", type=positive, nargs="*", help="how many at once; by default 1, 64 and 256, with --full 16, too"
    )
    arguments.add_argument(
        "--stream-clients", type=positive, nargs="*",
        help="how many at once with streamed answers; by default 1 and 64, with --full as without streaming",
    )  # fmt: skip
    arguments.add_argument("--seconds", type=float, help="of each round; by default 0.3, with --full 3")
    arguments.add_argument("--users", type=positive, default=100, help="who take turns in asking")
    arguments.add_argument("--arms", nargs="*", choices=list(ARMS), help="what to measure; two workers only if named")
    chosen = arguments.parse_args()
    if chosen.clients is None:
        chosen.clients = [1, 16, 64, 256] if chosen.full else [1, 64, 256]
    if chosen.stream_clients is None:
        chosen.stream_clients = chosen.clients if chosen.full else [1, 64]
    if chosen.arms is None:
        chosen.arms = [name for name in ARMS if name != "sqlite-2"]
    chosen.seconds = chosen.seconds or (3.0 if chosen.full else 0.3)
    finish(run, chosen, width=200)


if __name__ == "__main__":
    main()

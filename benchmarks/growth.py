"""``python -m benchmarks.growth``: does a retrieval cost more the more others remember, and does the router grow?"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import people, retrieval
from benchmarks.arguments import parameters, parser, positive
from benchmarks.backends import backend, memory_of
from benchmarks.circumstances import revision
from benchmarks.load.generator import echo_server, load_generator
from benchmarks.report import Report, Sheet
from benchmarks.routers import Running, counters, fill, memrouter, plain_settings
from benchmarks.running import finish
from benchmarks.sampling import Spread
from benchmarks.usage import cpu_seconds, rss_bytes
from memrouter.demo.processes import free_port

PER_USER, TURNS_EACH = 100, 5
RATE = 200.0
PARTS = 5
"""Into how many parts of equal length a soak is cut for its slope and spread."""
LEAST_MINUTES = 5.0
SHORT = " So short a soak shows that nothing breaks; of growth it says nothing, since caches are still filling."
SETTLED_SHARE = 0.2
"""Share of a soak at its beginning in which caches fill, which the slope leaves out."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process had at one time.

    Attributes:
        seconds: Since the soak began.
        rss_mb: Resident memory.
        cpu_seconds: Processor time since the process began.
    """

    seconds: float
    rss_mb: float
    cpu_seconds: float


async def sampled(running: Running, into: list[Sample], begun: float, pause: float) -> None:
    """Note memory and processor time of a process until cancelled."""
    while True:
        rss, cpu = rss_bytes(running.pid) / 2**20, cpu_seconds(running.pid)
        into.append(Sample(time.perf_counter() - begun, rss, cpu))
        await asyncio.sleep(pause)


async def soak(chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Have mixed traffic come at a steady rate, and tell how the memory of the router went."""
    seconds, turns = chosen.minutes * 60, people.said(range(chosen.users), PER_USER, chosen.users * TURNS_EACH)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        echo = Running(*await stack.enter_async_context(echo_server(folder)))
        section = (await stack.enter_async_context(backend(chosen.store))).apart("soak")
        await fill(memory_of(section), range(chosen.users), PER_USER)
        configuration = plain_settings(echo.port, port=free_port(), memory=section, log_level="error")
        router = await stack.enter_async_context(memrouter(folder, configuration, name="soak"))
        generator = await stack.enter_async_context(load_generator(turns, folder))
        samples: dict[str, list[Sample]] = {"model server": [], "router": []}
        begun = time.perf_counter()
        watching = [
            asyncio.create_task(sampled(process, samples[name], begun, max(0.2, seconds / 600)))
            for name, process in (("model server", echo), ("router", router))
        ]
        try:
            seen = await generator.run(router.port, clients=0, seconds=seconds, rate=chosen.rate)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        found = await counters(router.port)
    _tell_soak(samples, seen, found, chosen, report, console)


def slope(samples: Sequence[Sample]) -> float:
    """Return how many megabytes an hour the memory grows, by least squares."""
    times, sizes = np.array([sample.seconds for sample in samples]), np.array([sample.rss_mb for sample in samples])
    return float(np.polyfit(times, sizes, 1)[0]) * 3600


def _tell_soak(
    samples: Mapping[str, Sequence[Sample]],
    seen: Any,
    found: Mapping[str, float],
    chosen: argparse.Namespace,
    report: Report,
    console: Console,
) -> None:
    columns = ("", *(f"RSS MB, part {part + 1} of {PARTS}" for part in range(PARTS)), "MB an hour, settled")
    sheet = Sheet(f"soak: {chosen.minutes:g} minutes at {chosen.rate:g} requests/s on {chosen.store}", columns)
    requests = sum(seen["sent"].values())
    for name, taken in samples.items():
        parts = [[sample.rss_mb for sample in part] for part in np.array_split(np.array(taken, dtype=object), PARTS)]
        settled = [sample for sample in taken if sample.seconds >= taken[-1].seconds * SETTLED_SHARE]
        grown = slope(settled)
        key = name.partition(" ")[0]
        report.figures[f"soak.{key}.mb_per_hour"] = Spread.of([grown])
        report.figures[f"soak.{key}.rss_mb"] = Spread.of([float(np.median(part)) for part in parts])
        cpu = (taken[-1].cpu_seconds - taken[0].cpu_seconds) * 1000 / requests
        report.figures[f"soak.{key}.cpu_ms"] = Spread.of([cpu])
        sheet.rows.append((name, *(f"{float(np.median(part)):.1f}" for part in parts), f"{grown:+.2f}"))
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in seen["sent"].items())
    dropped = found.get("memrouter_store_queue_dropped_total", 0.0)
    short = SHORT if chosen.minutes < LEAST_MINUTES else ""
    sheet.note = (
        f"Sent: {kinds}. Answered with 200 and read to the end: {seen['answered']:,}; answered otherwise or broken off "
        f"by the other side: {seen['failures']:,}; not sent since too many were waiting: {seen['left_out']:,}; turns "
        f"that the full queue dropped: {dropped:,.0f}. Processor time of the router: "
        f"{report.figures['soak.router.cpu_ms'].median:.2f} ms a request.{short}"
    )
    report.add(sheet, console)
    chosen.output.mkdir(parents=True, exist_ok=True)
    plot(samples, chosen.output / "soak.svg")
    report.images.append("soak.svg")


def plot(samples: Mapping[str, Sequence[Sample]], file: Path) -> None:
    """Draw memory over time."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.5))
    for name, taken in samples.items():
        axes.plot([sample.seconds / 60 for sample in taken], [sample.rss_mb for sample in taken], label=name)
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


async def retrieval_figures(chosen: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Return what ``benchmarks.retrieval`` found for this revision; it is run where it has not been."""
    file = chosen.output / "retrieval.json"
    if file.exists():
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if content["revision"] == revision() and len(content["parameters"]["memories"]) > 1:
            return content
    console.print("retrieval has not been measured for this revision yet, so that comes first")
    length = "--full" if chosen.full else "--quick"
    options = retrieval.completed(retrieval.options().parse_args([length, "--no-peers", "--one-user"]))
    options.rounds, options.output, options.stores = chosen.rounds, chosen.output, chosen.stores
    (await retrieval.run(options, console)).write(chosen.output)
    content = json.loads(file.read_text(encoding="utf-8"))
    return content  # noqa: RET504 - gives the value its type


def tell_growth(content: Mapping[str, Any], report: Report, console: Console) -> None:
    """Put the growth of a retrieval into the report, from the same samples as its other figures."""
    sizes, figures = content["parameters"]["memories"], content["figures"]
    columns = ("store", "", *(f"{size:,}" for size in sizes), "last to first", "least to most")
    sheet = Sheet(f"p50 in ms by the number of all memories, {retrieval.PER_USER} a user", columns)
    for kind in content["parameters"]["stores"]:
        for case, title in (("raw", "raw search"), ("cold", "recall, first"), ("warm", "recall, later")):
            found = [figures.get(f"{kind}.s{size}.{case}.p50_ms") for size in sizes]
            ratios = {f"{kind}.growth.s{size}.{case}" for size in sizes} & set(figures)
            report.figures.update({name: Spread(**figures[name]) for name in ratios})
            last = max(size for size, figure in zip(sizes, found, strict=True) if figure)
            ratio = report.figures[f"{kind}.growth.s{last}.{case}"]
            middles = [f"{figure['median']:.3f}" if figure else "" for figure in found]
            spread = f"{ratio.low:.2f} to {ratio.high:.2f}"
            sheet.rows.append((kind, title, *middles, f"{ratio.median:.2f}", spread))
    sheet.note = "All sizes took turns in one run."
    report.add(sheet, console)


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything."""
    report = Report("growth", "Growth", parameters(chosen, ("rounds", "minutes", "rate", "users", "store", "stores")))
    if chosen.stores:
        tell_growth(await retrieval_figures(chosen, console), report, console)
    if chosen.minutes:
        await soak(chosen, report, console)
    return report


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    made = parser(__doc__ or "", stores=True)
    made.add_argument("--minutes", type=float, help="length of the soak; 0 for none; by default 0.5, with --full 30")
    made.add_argument("--rate", type=float, default=RATE, help="requests per second in the soak")
    made.add_argument("--users", type=positive, default=100, help="who ask in the soak")
    made.add_argument("--store", choices=("sqlite", "valkey"), default="sqlite", help="store of the soak")
    chosen = made.parse_args()
    if chosen.minutes is None:
        chosen.minutes = 30.0 if chosen.full else 0.5
    finish(run, chosen, width=160)


if __name__ == "__main__":
    main()

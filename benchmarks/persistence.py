"""``python -m benchmarks.persistence``: what a crash loses by the way memories are kept, and what each way costs."""

import argparse
import asyncio
import itertools
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from benchmarks.arguments import parameters, parser, positive
from benchmarks.crashes import LOSSES, Losses, killed_servers, killed_writers, tell_losses
from benchmarks.durability import DIMENSION, modes, sqlite_store, valkey_store
from benchmarks.memories import Memories
from benchmarks.recovery import DISK, FORK, WAYS, recover, tell_recovery
from benchmarks.report import Report, Sheet, rates, times
from benchmarks.running import finish
from benchmarks.sampling import Block, Case, Spread, measure, quotient
from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import MemoryStore
from memrouter.testing.valkey import ValkeyServer

SYNCHRONOUS = {"full": "SQLite, `synchronous: full`", "normal": "SQLite, `synchronous: normal`"}
PARTS = ("cost", "kills", "recovery")
COST = "what a write costs, one memory through the store"
TABLES = (LOSSES, COST, DISK, FORK)
"""In the order of the page."""
CROWD, EACH = 16, 4
"""Writers at once, and memories that each of them writes."""


def single(store: MemoryStore, memories: Memories) -> Block:
    """Return the block that writes one memory after the other."""

    async def block(first: int, number: int) -> Sequence[float]:
        seconds = []
        for record in memories.of(f"user{first % 7}", number):
            begun = time.perf_counter()
            await store.create([record])
            seconds.append(time.perf_counter() - begun)
        return seconds

    return block


def crowd(store: MemoryStore, memories: Memories) -> Block:
    """Return the block in which several write at the same time."""

    async def block(first: int, number: int) -> Sequence[float]:
        seconds = []
        for _ in range(number):
            shares = [memories.of(f"user{writer}", EACH) for writer in range(CROWD)]
            begun = time.perf_counter()
            await asyncio.gather(*(_each(store, share) for share in shares))
            seconds.append(time.perf_counter() - begun)
        return seconds

    return block


async def _each(store: MemoryStore, records: Sequence[MemoryRecord]) -> None:
    for record in records:
        await store.create([record])


async def cost(chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Measure writes in all ways, in turns."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ones, many = [], []
        for key, name, opened in await _stores(chosen, stack, folder):
            memories = Memories(1, dimension=DIMENSION)
            ones.append(Case(key, name, single(opened, memories)))
            many.append(Case(key, name, crowd(opened, memories)))
        await measure(ones, rounds=chosen.rounds, per_round=chosen.samples, warm_up=10)
        await measure(many, rounds=chosen.rounds, per_round=max(3, chosen.samples // 20), warm_up=3)
    columns = ("", "p50 ms", "least to most", "p99 ms", f"writes/s, {CROWD} at once", "least to most", "to nothing")
    sheet = Sheet(COST, columns)
    for one, crowded in zip(ones, many, strict=True):
        middle, late = one.quantile(0.5).times(1000), one.quantile(0.99).times(1000)
        rate, share = crowded.rate(CROWD * EACH), quotient(crowded.rate(CROWD * EACH), many[0].rate(CROWD * EACH))
        report.figures |= {f"{one.key}.write.p50_ms": middle, f"{one.key}.write.p99_ms": late}
        report.figures |= {f"{one.key}.write.rate": Spread.of(rate), f"{one.key}.write.share": share}
        sheet.rows.append(
            (one.name, *times(middle), f"{late.median:.3f}", *rates(Spread.of(rate)), f"{share.median:.2f}")
        )
    report.add(sheet, console)


async def _stores(
    chosen: argparse.Namespace, stack: AsyncExitStack, folder: Path
) -> list[tuple[str, str, MemoryStore]]:
    found: list[tuple[str, str, MemoryStore]] = []
    for mode in modes(chosen.snapshot_seconds):
        if not mode.busy:
            server = await stack.enter_async_context(ValkeyServer(args=mode.args))
            stack.push_async_callback(server.stop)  # takes a snapshot's process with it
            store: MemoryStore = await valkey_store(server.settings())
            stack.push_async_callback(store.aclose)
            found.append((mode.key, mode.name, store))
    for synchronous, name in SYNCHRONOUS.items():
        store = await sqlite_store(folder / f"{synchronous}.db", synchronous)
        stack.push_async_callback(store.aclose)
        found.append((synchronous, name, store))
    return found


async def kills(chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Kill servers and writers, and tell what was lost."""
    found: dict[str, tuple[str, Losses]] = {}
    rng = random.Random(chosen.seed)

    async def told(key: str, name: str, killing: Awaitable[Losses]) -> None:
        found[key] = (name, await killing)
        console.print(f"{name}: {sum(found[key][1].lost):,} lost in {chosen.kills} kills")

    for mode in modes(chosen.snapshot_seconds):
        await told(mode.key, mode.name, killed_servers(mode, chosen.kills, rng))
    for synchronous, name in SYNCHRONOUS.items():
        await told(synchronous, name, killed_writers(synchronous, chosen.kills, rng))
    tell_losses(found, report, console)


async def recovery(chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Measure files, and the way back."""
    for memories, way in itertools.product(chosen.memories, WAYS):
        if (
            way.index != "hnsw" or memories <= chosen.most_hnsw
        ) and f"{way.key}.s{memories}.back_s" not in report.figures:
            await recover(way, memories, chosen.restarts, report)
            console.print(f"{way.name}, {memories:,} memories: back")
    tell_recovery(report, console)


def taken_up(chosen: argparse.Namespace, report: Report) -> None:
    """Take figures and tables of an earlier run; what is measured now takes the place of theirs."""
    file = chosen.output / "persistence.json"
    if file.exists():
        content = json.loads(file.read_text(encoding="utf-8"))
        report.figures.update({name: Spread(**spread) for name, spread in content["figures"].items()})
        report.sheets += [Sheet(**table) for table in content["tables"]]


def in_order(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Return the last table of each title, in the order of the page."""
    last = {sheet.title: sheet for sheet in sheets}
    return [last[title] for title in TABLES if title in last]


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything that was chosen."""
    names = ("rounds", "samples", "kills", "snapshot_seconds", "memories", "restarts")
    report = Report("persistence", "Figures", parameters(chosen, names))
    if chosen.resume:
        taken_up(chosen, report)
    parts: dict[str, Callable[[argparse.Namespace, Report, Console], Awaitable[None]]] = {
        "cost": cost, "kills": kills, "recovery": recovery,
    }  # fmt: skip
    for name in PARTS:
        if name in chosen.only:
            await parts[name](chosen, report, console)
            report.sheets = in_order(report.sheets)
            report.write(chosen.output)
    return report


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    made = parser(__doc__ or "")
    made.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="which parts")
    made.add_argument("--samples", type=positive, default=100, help="single writes in each round")
    made.add_argument("--kills", type=positive, default=10, help="in each mode")
    made.add_argument("--snapshot-seconds", type=positive, default=5, help="between two snapshots")
    made.add_argument("--memories", type=positive, nargs="*", help="by default 10000, with --full 10000 and 100000")
    made.add_argument("--most-hnsw", type=positive, default=10_000, help="most memories with an HNSW index")
    made.add_argument("--restarts", type=positive, default=3, help="of each server with many memories")
    made.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    made.add_argument("--resume", action="store_true", help="keep the parts and sizes that the JSON file has beside")
    chosen = made.parse_args()
    if chosen.memories is None:
        chosen.memories = [10_000, 100_000] if chosen.full else [10_000]
    finish(run, chosen, width=150)


if __name__ == "__main__":
    main()

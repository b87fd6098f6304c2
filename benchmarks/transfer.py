"""``python -m benchmarks.transfer``: memories moved between every two kinds of store, beside plain inserts."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.memories import MODEL, Memories
from benchmarks.places import PLACES, SLOW_PLACES, Batches, Place
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode, ScanQuery
from memrouter.transfer.ahead import ahead
from memrouter.transfer.exporting import DEFAULT_PAGE

BATCH = DEFAULT_PAGE
PER_USER = 100


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast one way was.

    Attributes:
        name: Shown in the table.
        per_second: Memories per second.
        least: What it must be; None where nothing is demanded.
    """

    name: str
    per_second: float
    least: int | None = None

    @property
    def kept(self) -> bool:
        """Return whether it is as fast as it must be."""
        return self.least is None or self.per_second >= self.least


async def filled(store: MemoryStore, batches: Batches) -> float:
    """Merge batches that are at hand into a store; return how many memories per second."""
    begun = time.perf_counter()
    for batch in batches:
        await store.merge(batch, mode=MergeMode.SKIP)
    return _rate(batches, begun)


async def read(store: MemoryStore, batches: Batches) -> float:
    """Scan a store that holds the batches; return how many memories per second."""
    begun = time.perf_counter()
    async for _ in store.scan(ScanQuery(page=BATCH)):
        pass
    return _rate(batches, begun)


async def moved(source: MemoryStore, target: MemoryStore, batches: Batches) -> float:
    """Scan one store and merge into another; return how many memories per second."""
    begun = time.perf_counter()
    async with aclosing(ahead(source.scan(ScanQuery(page=BATCH)))) as pages:
        async for page in pages:
            await target.merge(page.records, mode=MergeMode.NEWER)
    rate = _rate(batches, begun)
    if await target.count(None) != await source.count(None):
        raise RuntimeError("memories were lost on the way")
    return rate


def _rate(batches: Batches, begun: float) -> float:
    return sum(len(batch) for batch in batches) / (time.perf_counter() - begun)


async def measured(places: Sequence[Place], batches: Batches, *, dimension: int) -> dict[str, list[Rate]]:
    """Return the rates of every way into each place, by the place's name."""
    rates: dict[str, list[Rate]] = {}
    for target in places:
        seconds = await target.raw(batches, dimension=dimension, model=MODEL)
        rates[target.name] = [Rate(target.baseline, sum(len(batch) for batch in batches) / seconds)]
    for source in places:
        async with source.empty(dimension=dimension, model=MODEL) as store:
            rates[source.name].insert(1, Rate("merge of records at hand", await filled(store, batches), source.least))
            rates[source.name].append(Rate("scan alone", await read(store, batches)))
            for target in places:
                async with target.empty(dimension=dimension, model=MODEL) as other:
                    name = f"{source.name} -> {target.name}, scan and merge"
                    rates[target.name].append(Rate(name, await moved(store, other, batches)))
    return rates


def show(console: Console, title: str, rates: Sequence[Rate]) -> bool:
    """Print a table of rates, held against the first; return whether every target is kept."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("per second", "ratio", "target"):
        table.add_column(heading, justify="right")
    for rate in rates:
        target = "" if rate.least is None else f">= {rate.least:,} {'kept' if rate.kept else 'MISSED'}"
        table.add_row(rate.name, f"{rate.per_second:,.0f}", f"{rate.per_second / rates[0].per_second:.2f}", target)
    console.print(table)
    return all(rate.kept for rate in rates)


async def run(memories: int, dimensions: Sequence[int], places: Sequence[Place], console: Console) -> bool:
    """Measure and print everything; return whether every target is kept."""
    kept = True
    for dimension in dimensions:
        made = Memories(dimension=dimension)
        each = BATCH // PER_USER
        batches = [
            [memory for user in range(first, first + each) for memory in made.of(f"user{user}", PER_USER)]
            for first in range(0, memories // PER_USER, each)
        ]
        for name, rates in (await measured(places, batches, dimension=dimension)).items():
            kept &= show(console, f"{memories:,} memories into {name}, {dimension} dimensions", rates)
    return kept


def main() -> None:
    """Read the arguments, measure, and exit with 1 if a target was missed."""
    names, more = [place.name for place in PLACES], [place.name for place in SLOW_PLACES]
    parser = argparse.ArgumentParser(description="Measures how fast memories move between stores.")
    parser.add_argument("--memories", type=int, default=100_000, help="how many are moved")
    parser.add_argument("--dimensions", type=int, nargs="*", default=[256, 384], help="lengths of the vectors")
    parser.add_argument("--stores", nargs="*", choices=names + more, default=names, help="which kinds of store")
    chosen = parser.parse_args()
    places = [place for place in (*PLACES, *SLOW_PLACES) if place.name in chosen.stores]
    sys.exit(0 if asyncio.run(run(chosen.memories, chosen.dimensions, places, Console(width=110))) else 1)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.upkeep``: a full prune and consolidation pass, and retrieval while it runs."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from benchmarks.memories import DIMENSION, EPOCH, MODEL, Memories
from benchmarks.places import PLACES, Place
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.jobs.schedule import SPACE
from memrouter.jobs.upkeep_tasks import upkeep_schedule
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.memory.storing.edits import OwnerEdits
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.upkeep.upkeep import Upkeep
from memrouter.models.memory import MemoryRecord, Scope, Trust, unit
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode

DAY_MS = 86_400_000
FADED = 0.05
"""Share of the memories that nobody has needed for 100 days."""
REPEATED = 0.05
"""Share of the memories that say what another one says."""
MOST_RATIO = 1.5
"""How far the p99 of retrieval may rise while upkeep runs."""
SCAN_LIMIT = 2_000


class BenchClock:
    """Satisfies ``Clock``: a day after the memories were made; seconds are real."""

    def now_ms(self) -> int:
        return EPOCH + DAY_MS + round(time.perf_counter() * 1000)

    def monotonic(self) -> float:
        return time.perf_counter()


def of_user(made: Memories, user_id: str, number: int) -> Iterator[MemoryRecord]:
    """Yield a user's memories, some faded and some that repeat others."""
    records = made.of(user_id, number)
    faded, repeated = round(number * FADED), round(number * REPEATED)
    for place, record in enumerate(records):
        if place < faded:
            yield replace(record, updated_at=EPOCH - 100 * DAY_MS, created_at=EPOCH - 100 * DAY_MS + place)
        elif place < faded + repeated:
            twin = records[place + repeated]
            near = unit(twin.embedding + 0.2 * made.vector())
            yield replace(record, content=f"{twin.content} again", embedding=near)
        else:
            yield record


@dataclass(frozen=True, slots=True)
class Figures:
    """What retrieval took, in seconds."""

    samples: np.ndarray

    def quantile(self, share: float) -> float:
        return float(np.quantile(self.samples, share))


class Bed:
    """A filled store with retrieval and upkeep over it."""

    def __init__(self, store: MemoryStore, users: list[str]) -> None:
        clock, embedder, settings = BenchClock(), HashEmbedder(DIMENSION), MemorySettings()
        self.store, self.users, self.clock, self.settings = store, users, clock, settings
        self.rng = random.Random(3)
        self.questions = [Memories(9).words(8) for _ in range(64)]
        self.metrics = Metrics()
        self.retriever = Retriever(
            store=store,
            embedder=embedder,
            working_set=WorkingSet(max_bytes=2**30),
            analyzer=Analyzer(),
            clock=clock,
            scan_limit=SCAN_LIMIT,
        )
        self.upkeep = Upkeep.of(
            settings,
            store=store,
            embedder=embedder,
            edits=OwnerEdits(store, rng=self.rng),
            analyzer=Analyzer(),
            accepts=_anything,
            writer=None,
            clock=clock,
            ids=IdFactory(clock, self.rng),
            observer=self.metrics,
        )

    async def retrieve(self, until: Callable[[int], bool], *, pause: float) -> Figures:
        """Ask one question after the other, each ``pause`` seconds after the answer to the last one."""
        policy = RecallPolicy(limit=10, threshold=0.0, adaptive=False)
        samples: list[float] = []
        while not until(len(samples)):
            scope = Scope(self.rng.choice(self.users))
            begun = time.perf_counter()
            await self.retriever.recall(scope, self.rng.choice(self.questions), policy)
            samples.append(time.perf_counter() - begun)
            await asyncio.sleep(pause)
        return Figures(np.array(samples))

    async def beside(self, *, pause: float, seconds: float) -> tuple[Figures, bool]:
        """Retrieve while scheduled upkeep runs, with requests in work all the time; return whether it was through."""
        schedule = upkeep_schedule(
            self.upkeep,
            self.settings,
            state=self.store.state,
            busy=lambda: True,
            clock=self.clock,
            rng=self.rng,
            observer=self.metrics,
        )
        for task in ("prune", "consolidate"):
            await self.store.state.put(SPACE, task, b'{"ended_at":0}', now=self.clock.now_ms())
        begun, running = time.perf_counter(), asyncio.create_task(schedule.tick())
        figures = await self.retrieve(lambda _: running.done() or time.perf_counter() - begun > seconds, pause=pause)
        through = running.done()
        schedule.stop()
        await running
        return figures, through


def _anything(text: str, trust: Trust) -> bool:
    return True


def _peak_bytes() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


async def run(place: Place, memories: int, users: int, args: argparse.Namespace, console: Console) -> bool:
    """Measure on one store; return whether retrieval stays within its bound."""
    async with place.empty(dimension=DIMENSION, model=MODEL) as store:
        made, names = Memories(), [f"user{number}" for number in range(users)]
        for name in names:
            records = list(of_user(made, name, memories // users))
            for first in range(0, len(records), 500):
                await store.merge(records[first : first + 500], mode=MergeMode.SKIP)
        bed = Bed(store, names)
        for name in names:
            await bed.retriever.recall(Scope(name), "word1", RecallPolicy(limit=1, threshold=0.0))
        alone = await bed.retrieve(lambda count: count >= args.rounds, pause=args.pause)
        beside, through = await bed.beside(pause=args.pause, seconds=args.seconds)
        again = await bed.retrieve(lambda count: count >= args.rounds, pause=args.pause)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before, begun = _status("VmRSS"), time.perf_counter()
        pruned = await bed.upkeep.pruning.run()
        between = time.perf_counter()
        merged = await bed.upkeep.consolidation.run()
        end, peak = time.perf_counter(), _peak_bytes()
    table = Table(title=f"{place.name}: {memories:,} memories of {users} users", title_justify="left")
    for heading in ("retrieval", "p50 ms", "p99 ms", "ratio of p99"):
        table.add_column(heading, justify="left" if heading == "retrieval" else "right")
    base = max(alone.quantile(0.99), again.quantile(0.99))
    kept = beside.quantile(0.99) <= MOST_RATIO * base
    named = f"while upkeep runs ({'to its end' if through else f'the first {args.seconds:.0f} s of it'})"
    for name, figures in (("before", alone), (named, beside), ("after", again)):
        table.add_row(
            f"{name}, n={len(figures.samples)}",
            *(f"{figures.quantile(share) * 1000:.2f}" for share in (0.5, 0.99)),
            f"{figures.quantile(0.99) / base:.2f}",
        )
    console.print(table)
    went, groups = pruned.removed.total(), len(merged.mergers)
    console.print(
        f"the rest at full speed: prune {between - begun:.1f} s, {pruned.memories:,} memories, {went:,} went; "
        f"consolidation {end - between:.1f} s, {groups:,} groups; memory {before >> 20} MiB before, "
        f"at most {(peak - before) >> 20} MiB more"
    )
    console.print(f"p99 while upkeep runs: at most {MOST_RATIO} times that without: {'kept' if kept else 'MISSED'}")
    return kept


async def run_all(args: argparse.Namespace, console: Console) -> bool:
    """Measure on every store that was chosen."""
    kept = True
    for place in PLACES:
        if place.name in args.stores:
            kept &= await run(place, args.memories, args.users, args, console)
    return kept


def main() -> None:
    """Read the arguments, measure, and exit with 1 if the bound was missed."""
    parser = argparse.ArgumentParser(description="Measures upkeep, and retrieval beside it.")
    parser.add_argument("--memories", type=int, default=100_000, help="how many there are")
    parser.add_argument("--users", type=int, default=100, help="how many users have them")
    parser.add_argument("--rounds", type=int, default=3_000, help="retrievals before and after")
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between an answer and the next question")
    parser.add_argument("--seconds", type=float, default=120, help="longest that retrieval is measured beside upkeep")
    names = [place.name for place in PLACES]
    parser.add_argument("--stores", nargs="*", choices=names, default=names, help="which kinds of store")
    sys.exit(0 if asyncio.run(run_all(parser.parse_args(), Console(width=110))) else 1)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.retrieval``: from a question to the memories that bear on it, by store and size."""

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from rich.console import Console

from benchmarks import people
from benchmarks.arguments import parameters, parser, positive
from benchmarks.backends import Backend, Section, backend, memory_of
from benchmarks.peers.process import NAMES, PeerError, PeerProcess, peer
from benchmarks.raw import NumpyScan, RawMilvus, RawValkey
from benchmarks.report import Report, Sheet
from benchmarks.routers import checked, fill
from benchmarks.running import finish
from benchmarks.sampling import Block, Case, measure, quotient, timed
from memrouter.clock import SystemClock
from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.service import MemoryService
from memrouter.models.memory import Scope, Vector
from memrouter.runtime import Runtime
from memrouter.stores.query import StoreQuery
from memrouter.stores.valkey.packed import PACKED_FIELDS

PER_USER = 100
LIMIT = 10
ACTIVE = 100
"""Users who ask again and again, where memories are held between requests; the default cache holds that many."""
ASKED = 4_096
SECONDS = {False: 0.15, True: 2.0}
"""About how long each case may take in a round, quick and full."""
QUICK_MILVUS = 10_000
"""Most memories that a quick run puts into Milvus, which takes them in more slowly than the others."""
FULL_MOST = 1_000_000
"""Most memories of a full run."""
OURS = 5
"""Cases that every set of memories has."""
HELD_NOTE = (
    f"A recall embeds the question, searches and ranks, through the service that the router calls; {LIMIT} memories at "
    "most. *First question*: nothing of the user is held in the process. *Later questions*: what was read for an "
    f"earlier question is held, and the store is asked whether it still stands ({ACTIVE} users take turns). The raw "
    "commands get their vector for nothing."
)


Nearest: TypeAlias = Callable[[str, Vector], Awaitable[object]]
"""Finds what is nearest to a vector among a user's memories."""


@dataclass(slots=True)
class DataSet:
    """Memories in a store.

    Attributes:
        name: Short.
        title: Shown in tables.
        users: Who has memories.
        per_user: How many each of them has.
        section: The settings of the store.
        peers: Whether other products are measured beside it.
        cases: The ways to find them; the raw command first.
    """

    name: str
    title: str
    users: Sequence[int]
    per_user: int
    section: Section
    peers: bool = False
    cases: list[Case] = field(default_factory=list)


class Asking:
    """The ways to find memories in one set of them, as cases.

    Args:
        kind: Of store.
        data: What is there.
        embedder: Made the vectors.
        stack: Closes what is opened.
    """

    def __init__(self, kind: str, data: DataSet, embedder: WordLlamaEmbedder, stack: AsyncExitStack) -> None:
        self._kind = kind
        self._data = data
        self._embedder = embedder
        self._stack = stack
        self._all = people.asked(data.users, data.per_user, ASKED)
        active = random.Random(2).sample(list(data.users), min(ACTIVE, len(data.users)))
        self._active = people.asked(active, data.per_user, ASKED, seed=3)

    async def cases(self) -> list[Case]:
        """Open everything and return the cases, the raw command first."""
        vectors = await self._embedder.embed([question for _, question in self._all])
        raw = await self._raw()
        cold, warm = await self._runtime(held=False), await self._runtime(held=True)
        store, now = cold.store, SystemClock().now_ms()
        assert store is not None

        async def bare(number: int) -> object:
            place = number % ASKED
            return await raw(self._all[place][0], vectors[place])

        async def nearest(number: int) -> object:
            place = number % ASKED
            query = StoreQuery(vector=vectors[place], k=LIMIT, now=now, scan_limit=0)
            return await store.search(Scope(self._all[place][0]), query)

        async def embed(number: int) -> object:
            return await self._embedder.embed([self._all[number % ASKED][1]])

        made = [
            Case("raw", self._raw_name(), timed(bare)),
            Case("embed", "embedding alone", timed(embed)),
            Case("store", "the store alone: nearest vectors", timed(nearest)),
            Case("cold", "recall, first question", self._recall(cold, self._all)),
            Case("warm", "recall, later questions", self._recall(warm, self._active)),
        ]
        for user in {user for user, _ in self._active}:
            await _service(warm).recall(Scope(user), "where?", _policy(warm))
        return made

    def _raw_name(self) -> str:
        match self._kind:
            case "valkey":
                return f"raw FT.SEARCH, KNN {LIMIT} of one user, same index and fields"
            case "milvus":
                return f"raw Milvus search, {LIMIT} of one user, same collection"
            case _:
                return f"numpy scan over one user's vectors, {LIMIT} nearest"

    async def _raw(self) -> Nearest:
        memory = memory_of(self._data.section)
        if self._kind == "valkey":
            assert memory.valkey is not None
            valkey = await RawValkey.open(memory.valkey)
            self._stack.push_async_callback(valkey.aclose)
            await valkey.indexed(len(self._data.users) * self._data.per_user)
            return lambda user, vector: valkey.nearest(user, vector, k=LIMIT, fields=PACKED_FIELDS)
        if self._kind == "milvus":
            assert memory.milvus is not None
            milvus = RawMilvus(memory.milvus)
            self._stack.push_async_callback(milvus.aclose)
            return lambda user, vector: milvus.nearest(user, vector, k=LIMIT)
        scan = NumpyScan()
        for user in self._data.users:
            records = await people.memories(self._embedder, [user], self._data.per_user)
            scan.add(people.name(user), np.array([record.embedding for record in records]))
        return lambda user, vector: scan.nearest(user, vector, k=LIMIT)

    async def _runtime(self, *, held: bool) -> Runtime:
        limits = {"embedding_cache_entries": 0} | ({} if held else {"working_set_bytes": 0})
        settings = checked({"global": {"stores": {"memory": {**self._data.section, "limits": limits}}}})
        runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=random.Random(1))
        self._stack.push_async_callback(runtime.aclose)
        return runtime

    def _recall(self, runtime: Runtime, questions: Sequence[tuple[str, str]]) -> Block:
        service, policy = _service(runtime), _policy(runtime)

        async def recall(number: int) -> object:
            user, question = questions[number % ASKED]
            return await service.recall(Scope(user), question, policy)

        return timed(recall)

    async def peer_cases(self, port: int) -> list[Case]:
        """Start the peers, give them the same memories, and return their searches as cases.

        What cannot be started is a case that has failed.
        """
        made = []
        for name, title in NAMES.items():
            variants = {"default": "default", "plain": "without reinforcement"} if name == "betterdb" else {"plain": ""}
            try:
                process = await self._stack.enter_async_context(peer(name, port, self._embedder, index=self._data.name))
                await process.fill(self._data.users, self._data.per_user)
            except PeerError as error:
                made.append(Case(name, f"{title} search", _nothing, foreign=True, failure=str(error)))
                continue
            for variant, words in variants.items():
                key = name if variant == "plain" else f"{name}-{variant}"
                what = "recall" if name == "betterdb" else "Valkey store, search"
                text = f"{title} {what}, HNSW as it makes it{words and ', ' + words}"
                made.append(Case(key, text, self._asked_of(process, variant), foreign=True))
        return made

    def _asked_of(self, process: PeerProcess, variant: str) -> Block:
        async def block(first: int, number: int) -> Sequence[float]:
            return await process.recall([self._all[place % ASKED] for place in range(first, first + number)], variant)

        return block


async def _nothing(first: int, number: int) -> Sequence[float]:
    raise PeerError("it did not start")


def _service(runtime: Runtime) -> MemoryService:
    assert runtime.memory is not None
    return runtime.memory


def _policy(runtime: Runtime) -> RecallPolicy:
    return RecallPolicy(limit=LIMIT, threshold=runtime.default_threshold)


def sizes_on(kind: str, chosen: argparse.Namespace) -> list[int]:
    """Return the sizes for one kind of store."""
    sizes: list[int] = chosen.memories
    return [size for size in sizes if size <= chosen.milvus_most or kind != "milvus"]


def data_sets(kind: str, server: Backend, chosen: argparse.Namespace) -> list[DataSet]:
    """Return what is to be measured on one kind of store."""
    made = []
    for size in sizes_on(kind, chosen):
        users = range(max(1, size // PER_USER))
        title = f"{size:,} memories, {PER_USER} a user"
        asked_of_peers = chosen.peers and size in chosen.peer_memories
        made.append(DataSet(f"s{size}", title, users, PER_USER, server.apart(f"s{size}"), peers=asked_of_peers))
    for number, size in enumerate(chosen.one_user, start=10_000_000):
        made.append(DataSet(f"one{size}", f"one user with {size:,} memories", [number], size, server.apart("one")))
    return made


async def measure_store(kind: str, chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Fill one kind of store and measure everything on it in turns."""
    embedder = await asyncio.to_thread(WordLlamaEmbedder.load)
    async with backend(kind) as server, AsyncExitStack() as stack:
        if server.version:
            report.versions[kind] = server.version
        data = data_sets(kind, server, chosen)
        for one in data:
            console.print(f"{kind}: storing {one.title}", style="dim")
            await fill(memory_of(one.section), one.users, one.per_user)
        for one in data:
            asking = Asking(kind, one, embedder, stack)
            one.cases = await asking.cases()
            if one.peers and kind == "valkey" and server.port is not None:
                one.cases += await asking.peer_cases(server.port)
        cases = [case for one in data for case in one.cases]
        await measure(cases, rounds=chosen.rounds, per_round=chosen.samples, warm_up=chosen.samples,
            most_seconds=SECONDS[chosen.full],
        )  # fmt: skip
    for number, one in enumerate(data):
        note = "" if number else HELD_NOTE
        report.compare(f"{kind}: {one.title}", one.cases, console, prefix=f"{kind}.{one.name}", note=note)
    several = data[: len(sizes_on(kind, chosen))]
    if len(several) > 1:
        _tell_growth(kind, several, report, console)
    _tell_peers(kind, data, report)


def _tell_growth(kind: str, data: Sequence[DataSet], report: Report, console: Console) -> None:
    sheet = Sheet(
        f"{kind}: p50 in ms by the number of all memories, {PER_USER} a user",
        ("", *(one.title.partition(" ")[0] for one in data), "last to first"),
    )
    for place, case in enumerate(data[0].cases[:OURS]):
        same = [one.cases[place] for one in data]
        for one, other in zip(data[1:], same[1:], strict=True):
            ratio = quotient(other.by_round(0.5), case.by_round(0.5))
            report.figures[f"{kind}.growth.{one.name}.{case.key}"] = ratio
        middles = [f"{other.quantile(0.5).median * 1000:.3f}" for other in same]
        sheet.rows.append((case.name, *middles, f"{ratio.median:.2f}"))
    report.add(sheet, console)


def _tell_peers(kind: str, data: Sequence[DataSet], report: Report) -> None:
    for one in data:
        cases = {case.key: case for case in one.cases if case.rounds}
        for theirs in ("betterdb", "betterdb-default", "mem0"):
            for ours in ("cold", "warm"):
                if theirs in cases:
                    ratio = quotient(cases[ours].by_round(0.5), cases[theirs].by_round(0.5))
                    report.figures[f"{kind}.{one.name}.{ours}_to_{theirs}"] = ratio


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything."""
    names = ("rounds", "samples", "memories", "one_user", "peer_memories", "stores")
    report = Report("retrieval", "Retrieval", parameters(chosen, names))
    for kind in chosen.stores:
        await measure_store(kind, chosen, report, console)
    if chosen.peers:
        report.failures["Redis Agent Memory Server"] = "its server is not published as a Python package"
    return report


def options() -> argparse.ArgumentParser:
    """Return the options of this benchmark."""
    made = parser(__doc__ or "", stores=True, peers=True)
    made.add_argument("--samples", type=positive, default=100, help="questions in each round")
    made.add_argument("--memories", type=positive, nargs="*", help=f"sizes, {PER_USER} a user")
    made.add_argument("--milvus-most", type=positive, help="sizes above it are left out on Milvus")
    made.add_argument("--one-user", type=positive, nargs="*", help="sizes of single users")
    made.add_argument("--peer-memories", type=positive, nargs="*", help="sizes at which peers are measured")
    return made


def completed(chosen: argparse.Namespace) -> argparse.Namespace:
    """Fill in the sizes that were not chosen."""
    if chosen.memories is None:
        chosen.memories = [1_000, 10_000, 100_000] + ([FULL_MOST] if chosen.full else [])
    if chosen.milvus_most is None:
        chosen.milvus_most = FULL_MOST if chosen.full else QUICK_MILVUS
    if chosen.one_user is None:
        chosen.one_user = [100, 1_000, 5_000] + ([20_000] if chosen.full else [])
    if chosen.peer_memories is None:
        chosen.peer_memories = [10_000, 100_000] if chosen.full else [10_000]
    return chosen


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    finish(run, completed(options().parse_args()), width=160)


if __name__ == "__main__":
    main()

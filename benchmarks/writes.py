"""``python -m benchmarks.writes``: from the last byte of an answer to a memory that can be read, and inserts."""

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec.structs import replace
from rich.console import Console

from benchmarks import people
from benchmarks.arguments import parameters, parser, positive
from benchmarks.backends import Backend, backend, memory_of
from benchmarks.load.generator import echo_server
from benchmarks.peers.process import NAMES, PeerError, PeerProcess, peer
from benchmarks.raw_writers import BASELINES, raw_writer
from benchmarks.report import Report, Sheet, rates
from benchmarks.routers import Running, checked, fill, memrouter, plain_settings
from benchmarks.running import finish
from benchmarks.sampling import Block, Case, Spread, measure, quotient, timed
from memrouter.clock import SystemClock
from memrouter.demo.processes import free_port
from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import MemoryRecord, Scope, Source
from memrouter.runtime import Runtime
from memrouter.stores.base import MemoryStore
from memrouter.stores.factory import open_store

BATCH = 500
USERS, PER_USER = 20, 100
MOST_SECONDS = 30.0


class Records:
    """New memories of a few users, without end.

    Args:
        first: Number of the first user, so that no other records have these ids.
        embedder: Makes the vectors.
    """

    def __init__(self, first: int, embedder: WordLlamaEmbedder) -> None:
        self._users = range(first, first + USERS)
        self._embedder = embedder
        self._ids = itertools.count()
        self._made: list[MemoryRecord] = []

    async def take(self, number: int) -> list[MemoryRecord]:
        """Return as many records, made before the clock runs."""
        while len(self._made) < number:
            records = await people.memories(self._embedder, self._users, PER_USER)
            self._made += [replace(record, id=f"w{self._users[0]}-{next(self._ids):09d}") for record in records]
        taken, self._made = self._made[:number], self._made[number:]
        return taken


Write = Callable[[Sequence[MemoryRecord]], Awaitable[float]]


def written(write: Write, records: Records, batch: int) -> Block:
    """Return the block that writes batches."""

    async def block(first: int, number: int) -> Sequence[float]:
        return [await write(await records.take(batch)) for _ in range(number)]

    return block


def _created(store: MemoryStore) -> Write:
    async def write(batch: Sequence[MemoryRecord]) -> float:
        begun = time.perf_counter()
        await store.create(batch)
        return time.perf_counter() - begun

    return write


def _remembered(runtime: Runtime) -> Block:
    """Return the block that remembers single texts, as the memory API does."""
    numbers = itertools.count()

    async def remember(_: int) -> object:
        assert runtime.memory is not None
        number = next(numbers)
        draft = MemoryDraft(f"{_fact(number)} Note {number}.", source=Source.API)
        return await runtime.memory.remember(Scope(f"writer{number % USERS}"), [draft])

    return timed(remember)


def _fact(number: int) -> str:
    return next(iter(people.facts(20_000_000 + number, 1))).text


async def measure_inserts(kind: str, chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Measure single and bulk inserts on one kind of store."""
    embedder = await asyncio.to_thread(WordLlamaEmbedder.load)
    info = embedder.info
    async with backend(kind) as server, AsyncExitStack() as stack:
        if server.version:
            report.versions[kind] = server.version
        raw = await stack.enter_async_context(
            raw_writer(memory_of(server.apart("raw")), dimension=info.dimension, model=info.model)
        )
        store = await open_store(memory_of(server.apart("store")), dimension=info.dimension, embedding_model=info.model)
        stack.push_async_callback(store.aclose)
        runtime = await Runtime.open(
            checked({"global": {"stores": {"memory": server.apart("service")}}}),
            env={}, clock=SystemClock(), rng=random.Random(1),
        )  # fmt: skip
        stack.push_async_callback(runtime.aclose)
        single, bulk = Records(1_000, embedder), Records(2_000, embedder)
        ones = [
            Case("raw", f"{BASELINES[kind]}, one", written(raw, single, 1)),
            Case("store", "the store alone, one", written(_created(store), single, 1)),
            Case("service", "remember: checked, screened, embedded, stored once", _remembered(runtime)),
        ]
        many = [
            Case("raw", f"{BASELINES[kind]}, {BATCH}", written(raw, bulk, BATCH)),
            Case("store", f"the store alone, {BATCH}", written(_created(store), bulk, BATCH)),
        ]
        if chosen.peers and kind == "valkey":
            await _add_peers(server, embedder, stack, ones, many)
        await measure(ones, rounds=chosen.rounds, per_round=chosen.samples, warm_up=0)
        await measure(many, rounds=chosen.rounds, per_round=chosen.batches, warm_up=0)
    report.compare(f"{kind}: one memory", ones, console, prefix=f"{kind}.one")
    _tell_rates(kind, many, report, console)


def _tell_rates(kind: str, cases: Sequence[Case], report: Report, console: Console) -> None:
    sheet = Sheet(f"{kind}: {BATCH} memories at once", ("", "memories/s", "least to most", "ratio"))
    for case in cases:
        if not case.rounds:
            report.failed(case.name, case.failure or "no rounds", console)
            continue
        rate, share = Spread.of(case.rate(BATCH)), quotient(case.rate(BATCH), cases[0].rate(BATCH))
        report.figures[f"{kind}.bulk.{case.key}.rate"] = rate
        report.figures[f"{kind}.bulk.{case.key}.share"] = share
        sheet.rows.append((case.name, *rates(rate), f"{share.median:.2f}"))
    report.add(sheet, console)


async def _add_peers(
    server: Backend, embedder: WordLlamaEmbedder, stack: AsyncExitStack, ones: list[Case], many: list[Case]
) -> None:
    if server.port is None:
        return
    for name, title in NAMES.items():
        try:
            process = await stack.enter_async_context(peer(name, server.port, embedder))
        except PeerError as error:
            ones.append(Case(name, title, _nothing, foreign=True, failure=str(error)))
            continue
        what = "remember" if name == "betterdb" else "Valkey store, insert"
        ones.append(Case(name, f"{title} {what}, embedding included", _single(process), foreign=True))
        if name == "mem0":
            many.append(Case(name, f"{title} {what}, embedding included", _bulk(process), foreign=True))


async def _nothing(first: int, number: int) -> Sequence[float]:
    raise PeerError("it did not start")


def _single(process: PeerProcess) -> Block:
    async def block(first: int, number: int) -> Sequence[float]:
        return await process.remember(
            [(f"writer{place % USERS}", _fact(place)) for place in range(first, first + number)]
        )

    return block


def _bulk(process: PeerProcess) -> Block:
    async def block(first: int, number: int) -> Sequence[float]:
        seconds = []
        for place in range(first, first + number):
            memories = [(people.name(place), fact.text) for fact in people.facts(30_000_000 + place, BATCH)]
            begun = time.perf_counter()
            await process.ask("fill", memories=memories)
            seconds.append(time.perf_counter() - begun)
        return seconds

    return block


class Turns:
    """Turns of a conversation through a router, and looks at what it has stored.

    Args:
        session: Sends the requests.
        router: Has the memories of USERS users.
    """

    def __init__(self, session: aiohttp.ClientSession, router: Running) -> None:
        self._session = session
        self._address = f"http://127.0.0.1:{router.port}"
        self._numbers = itertools.count()

    async def look(self, user: str) -> bytes:
        """Return the newest memory of a user and how many there are."""
        headers, query = {"x-authz-user-id": user}, {"limit": "1"}
        async with self._session.get(f"{self._address}/v1/memory", headers=headers, params=query) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def stored(self) -> float:
        """Say something new; return the seconds from the last byte of the answer until a look shows it."""
        number = next(self._numbers)
        user = people.name(number % USERS)
        before = await self.look(user)
        message = {"role": "user", "content": f"{_fact(number)} Please note that down as item {number}."}
        body = {"model": "qwen3", "messages": [message]}
        headers = {"x-authz-user-id": user}
        async with self._session.post(f"{self._address}/v1/chat/completions", headers=headers, json=body) as answer:
            answer.raise_for_status()
            await answer.read()
        begun = time.perf_counter()
        while await self.look(user) == before:
            if time.perf_counter() - begun > MOST_SECONDS:
                raise RuntimeError(f"a turn was not stored within {MOST_SECONDS:.0f} s")
        return time.perf_counter() - begun


@asynccontextmanager
async def _router(kind: str, folder: Path, upstream: int) -> AsyncIterator[Running]:
    async with backend(kind) as server:
        section = server.apart("turns")
        await fill(memory_of(section), range(USERS), PER_USER)
        configuration = plain_settings(upstream, port=free_port(), memory=section)
        async with memrouter(folder, configuration, name=kind) as running:
            yield running


async def measure_turns(chosen: argparse.Namespace, report: Report, console: Console) -> None:
    """Measure, on every store in turns, how long a finished turn takes to be there."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream, _ = await stack.enter_async_context(echo_server(folder))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        cases = []
        for kind in chosen.stores:
            turns = Turns(session, await stack.enter_async_context(_router(kind, folder, upstream)))
            cases.append(Case(f"{kind}.look", f"{kind}: one look, the least that can be told", _looks(turns)))
            cases.append(Case(f"{kind}.turn", f"{kind}: from the last byte until a look shows the turn", _says(turns)))
        await measure(cases, rounds=chosen.rounds, per_round=chosen.turns, warm_up=0)
    note = "Looks follow each other without a pause; the router embeds and stores meanwhile."
    report.compare("turn to stored", cases, console, prefix="turns", note=note)


def _looks(turns: Turns) -> Block:
    async def look(number: int) -> object:
        return await turns.look(people.name(number % USERS))

    return timed(look)


def _says(turns: Turns) -> Block:
    async def block(first: int, number: int) -> Sequence[float]:
        return [await turns.stored() for _ in range(number)]

    return block


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything."""
    names = ("rounds", "samples", "batches", "turns", "stores")
    report = Report("writes", "Writes", parameters(chosen, names))
    await measure_turns(chosen, report, console)
    for kind in chosen.stores:
        await measure_inserts(kind, chosen, report, console)
    return report


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    made = parser(__doc__ or "", stores=True, peers=True)
    made.add_argument("--samples", type=positive, help="single inserts in each round; by default 10, with --full 100")
    made.add_argument("--batches", type=positive, help="bulk inserts in each round; by default 2, with --full 10")
    made.add_argument("--turns", type=positive, help="turns in each round; by default 5, with --full 30")
    chosen = made.parse_args()
    chosen.samples = chosen.samples or (100 if chosen.full else 10)
    chosen.batches = chosen.batches or (10 if chosen.full else 2)
    chosen.turns = chosen.turns or (30 if chosen.full else 5)
    finish(run, chosen, width=160)


if __name__ == "__main__":
    main()

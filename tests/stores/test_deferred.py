"""The router starts without its store's server, and has its memories as soon as the server is there."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.deferred import DeferredStore, open_or_defer
from memrouter.stores.query import EVERYTHING, Change, ListQuery, MergeMode, ScanQuery, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.store_contract import StoreContract

PROMISED = Capabilities("sqlite", 24, "contract-model", exact=False)
ALICE = Scope("alice")


class FarStore:
    """A store whose server fails as it is told to, one failure a try, then opens; at a gate where one is given."""

    def __init__(self, path: Path, *failures: Exception, gate: asyncio.Event | None = None) -> None:
        self._path = path
        self._failures = list(failures)
        self._gate = gate
        self.tries = 0

    async def open(self) -> MemoryStore:
        self.tries += 1
        if self._failures:
            raise self._failures.pop(0)
        if self._gate is not None:
            await self._gate.wait()
        settings = SqliteSettings(path=str(self._path))
        return await SqliteStore.open(settings, dimension=24, embedding_model="contract-model")


async def opened(far: FarStore) -> MemoryStore:
    return await open_or_defer(far.open, capabilities=PROMISED, rng=random.Random(1), max_delay=0)


async def until_open(store: MemoryStore) -> None:
    while True:
        try:
            return await store.check()
        except (StoreUnavailable, SchemaMismatch):
            await asyncio.sleep(0)


class TestDeferredStore(StoreContract):
    """A store that opened late is a store like any other."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MemoryStore]:
        store = await opened(FarStore(tmp_path / "memories.db", StoreUnavailable("not yet")))
        assert isinstance(store, DeferredStore)
        await until_open(store)
        yield store
        await store.aclose()


async def test_a_store_that_opens_at_once_is_not_wrapped(tmp_path: Path) -> None:
    store = await opened(FarStore(tmp_path / "memories.db"))
    assert isinstance(store, SqliteStore)
    await store.aclose()


async def test_every_call_says_why_the_store_is_not_open(tmp_path: Path) -> None:
    gate = asyncio.Event()
    store = await opened(FarStore(tmp_path / "memories.db", StoreUnavailable("no route to host"), gate=gate))
    assert store.capabilities == PROMISED
    record = RecordFactory(PROMISED).make()
    calls = (
        store.create([record]),
        store.get(ALICE, ["m1"], now=NOW),
        store.list(ALICE, ListQuery(limit=1, now=NOW)),
        store.search(ALICE, StoreQuery(vector=None, k=1, now=NOW)),
        store.touch(ALICE, ["m1"], now=NOW),
        store.delete(ALICE, EVERYTHING),
        store.stats(ALICE, now=NOW),
        anext(store.scan(ScanQuery())),
        store.merge([record], mode=MergeMode.SKIP),
        store.commit(Change("alice", after=0)),
        store.state.get("space", "key", now=NOW),
        store.state.put("space", "key", b"", now=NOW),
        store.state.remove("space", "key"),
        anext(store.state.entries("space", now=NOW)),
        anext(store.state.spaces()),
        store.state.drop("space"),
        store.count(None),
        store.check(),
    )
    state = store.state
    for call in calls:
        with pytest.raises(StoreUnavailable, match=r"^no route to host$"):
            await call
    gate.set()
    await until_open(store)
    assert store.capabilities.exact
    assert await state.put("space", "key", b"", now=NOW) == 1
    assert await store.create([record]) == [record.id]
    await store.aclose()


async def test_the_latest_reason_is_given(tmp_path: Path) -> None:
    gate = asyncio.Event()
    failures = (StoreUnavailable("refused"), SchemaMismatch("another dimension"))
    far = FarStore(tmp_path / "memories.db", *failures, gate=gate)
    store = await opened(far)
    while far.tries < 3:
        await asyncio.sleep(0)
    with pytest.raises(SchemaMismatch, match="another dimension"):
        await store.check()
    await store.aclose()


async def test_an_unexpected_error_does_not_end_the_tries(tmp_path: Path) -> None:
    store = await opened(FarStore(tmp_path / "memories.db", StoreUnavailable("refused"), ZeroDivisionError("bug")))
    await until_open(store)
    await store.aclose()


async def test_a_store_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch):
        await opened(FarStore(tmp_path / "memories.db", SchemaMismatch("another dimension")))


async def test_closing_ends_the_tries(tmp_path: Path) -> None:
    far = FarStore(tmp_path / "memories.db", StoreUnavailable("refused"), gate=asyncio.Event())
    store = await opened(far)
    while far.tries < 2:
        await asyncio.sleep(0)
    await store.aclose()
    await store.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}

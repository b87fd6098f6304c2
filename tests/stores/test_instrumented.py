"""The instrumented store does what the inner one does, and tells how each call went."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import InvalidRequest, MemoryConflict, SchemaMismatch, StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope, unit
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import InstantStore, MemoryStore
from memrouter.stores.instrumented import InstrumentedStore, StoreObserver, instrumented
from memrouter.stores.query import EVERYTHING, Change, ListQuery, Merged, MergeMode, ScanQuery, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.store_contract import StoreContract

NOW = 1000
ALICE = Scope("alice")


class Noted:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, float]] = []

    def store_operation(self, *, backend: str, operation: str, outcome: str, seconds: float) -> None:
        self.calls.append((backend, operation, outcome, seconds))


def record(name: str, dimension: int = 4) -> MemoryRecord:
    vector = unit(np.arange(1, dimension + 1, dtype=np.float32))
    return MemoryRecord(
        id=name,
        user_id="alice",
        content=name,
        embedding=vector,
        embedding_model="m",
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
async def store(tmp_path: Path, noted: Noted) -> AsyncIterator[MemoryStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    inner = await SqliteStore.open(settings, dimension=4, embedding_model="m")
    opened = InstrumentedStore(inner, observer=noted, clock=ManualClock())
    yield opened
    await opened.aclose()


class TestInstrumentedStoreContract(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MemoryStore]:
        settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
        inner = await SqliteStore.open(settings, dimension=24, embedding_model="contract-model")
        opened = InstrumentedStore(inner, observer=Metrics(), clock=ManualClock())
        yield opened
        await opened.aclose()


async def test_every_call_goes_through_and_is_told(store: MemoryStore, noted: Noted) -> None:
    assert await store.create([record("a"), record("b")]) == ["a", "b"]
    assert [found.id for found in await store.get(ALICE, ["b", "a"], now=NOW)] == ["b", "a"]
    assert (await store.list(ALICE, ListQuery(limit=1, now=NOW))).total == 2
    found = await store.search(ALICE, StoreQuery(vector=record("a").embedding, k=1, now=NOW))
    assert len(found.records or ()) == 1
    assert await store.touch(ALICE, ["a"], now=NOW) == 1
    assert (await store.stats(ALICE, now=NOW)).total == 2
    assert list(await store.merge([record("a")], mode=MergeMode.SKIP)) == [Merged.KEPT]
    assert await store.commit(Change("alice", after=7)) is None
    assert await store.state.put("space", "key", b"1", now=NOW) == 1
    assert await store.state.get("space", "key", now=NOW) is not None
    assert await store.state.remove("space", "key") is True
    await store.state.drop("space")
    assert await store.count(None) == 2
    await store.check()
    assert await store.delete(ALICE, EVERYTHING) == 2
    assert store.capabilities.backend == "sqlite"
    operations = ["create", "get", "list", "search", "touch", "stats", "merge", "commit"]
    operations += ["state_put", "state_get", "state_remove", "state_drop", "count", "check", "delete"]
    assert noted.calls == [("sqlite", operation, "ok", 0.0) for operation in operations]


async def test_every_page_of_a_scan_is_told_without_the_time_that_its_reader_takes(
    store: MemoryStore, noted: Noted
) -> None:
    clock = ManualClock()
    await store.create([record("a"), record("b")])
    async for _ in InstrumentedStore(store, observer=noted, clock=clock).scan(ScanQuery(page=1)):
        clock.ms += 1000
    assert noted.calls[1:] == [("sqlite", "scan", "ok", 0.0)] * 6


async def test_a_scan_that_fails_is_told_as_such(store: MemoryStore, noted: Noted) -> None:
    with pytest.raises(InvalidRequest):
        await anext(store.scan(ScanQuery(after="?")))
    assert noted.calls == [("sqlite", "scan", "error", 0.0)]


async def test_unique_content_is_passed_on(store: MemoryStore) -> None:
    await store.create([record("a")])
    twin = MemoryRecord(
        id="b", user_id="alice", content="a", embedding=record("a").embedding, embedding_model="m", created_at=NOW,
        updated_at=NOW,
    )  # fmt: skip
    assert await store.create([twin], unique_content=True) == ["a"]


async def test_a_failure_is_told_by_its_kind_and_passed_on(store: MemoryStore, noted: Noted) -> None:
    await store.create([record("a")])
    with pytest.raises(MemoryConflict):
        await store.create([record("a")])
    with pytest.raises(SchemaMismatch):
        await store.create([record("b", dimension=5)])
    await store.aclose()
    with pytest.raises(StoreUnavailable):
        await store.check()
    assert [call[2] for call in noted.calls] == ["ok", "conflict", "mismatch", "unavailable"]


async def test_a_call_is_timed_by_the_clock_that_was_passed_in(store: MemoryStore, noted: Noted) -> None:
    class Passing(ManualClock):
        def monotonic(self) -> float:
            self.ms += 250
            return super().monotonic()

    await InstrumentedStore(store, observer=noted, clock=Passing()).check()
    assert noted.calls[-1][3] == pytest.approx(0.25)


async def test_a_cancelled_call_is_told_as_such(store: MemoryStore, noted: Noted) -> None:
    task = asyncio.create_task(store.check())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert noted.calls[-1][2] == "cancelled"


def test_the_metrics_are_an_observer() -> None:
    observer: StoreObserver = Metrics()
    observer.store_operation(backend="sqlite", operation="get", outcome="ok", seconds=0.1)


async def test_a_glance_that_saves_a_search_is_told_as_one(tmp_path: Path, noted: Noted) -> None:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    inner = await SqliteStore.open(settings, dimension=4, embedding_model="m")
    store = instrumented(inner, observer=noted, clock=ManualClock())
    assert isinstance(store, InstantStore)
    assert store.still_stands(ALICE, 0)
    assert noted.calls == [("sqlite", "search", "ok", 0.0)]
    await store.create([record("one")])
    noted.calls.clear()
    assert store.still_stands(ALICE, 0) is False
    assert noted.calls == []
    await store.aclose()
    assert store.still_stands(ALICE, 1) is None


async def test_a_store_that_must_be_waited_for_is_no_instant_one_when_told(store: MemoryStore, noted: Noted) -> None:
    assert not isinstance(instrumented(store, observer=noted, clock=ManualClock()), InstantStore)

"""Changes by what is kept: who reads meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from memrouter.memory.storing import edits
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.models.memory import MemoryRecord
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import MemoryStore
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import Change
from memrouter.testing.clock import ManualClock

from ..gates import CountingEmbedder, open_store


class Held(InstrumentedStore):
    """Keeps the answer to a commit back until it may be told."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner, observer=Metrics(), clock=ManualClock())
        self.made = asyncio.Event()
        self.may_tell = asyncio.Event()
        self.fails = False

    async def commit(self, change: Change) -> int | None:
        made = await super().commit(change)
        self.made.set()
        await self.may_tell.wait()
        if self.fails:
            raise TimeoutError
        return made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Held]:
    async with open_store(tmp_path) as inner:
        yield Held(inner)


@pytest.fixture
async def record(store: Held) -> MemoryRecord:
    (vector,) = await CountingEmbedder().embed(["a cat"])
    model = store.capabilities.embedding_model
    return MemoryRecord("m1", "anna", "a cat", vector, model, created_at=1, updated_at=1)


@pytest.mark.parametrize("fails", [False, True])
async def test_who_reads_waits_until_a_change_under_way_is_told_or_has_failed(
    store: Held, record: MemoryRecord, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "TOLD_SECONDS", 60.0)
    store.fails = fails
    own, told = OwnerEdits(store, rng=Random(1)), list[Change]()
    own.watch(lambda change, _: told.append(change))

    async def plan() -> Plan[None]:
        return Plan(None, put=[record])

    change = asyncio.create_task(own.apply("anna", plan))
    await store.made.wait()
    reader = asyncio.create_task(own.told("anna"))
    await own.told("bob")
    assert (await store.count("anna"), told, reader.done()) == (1, [], False)
    store.may_tell.set()
    await reader
    assert len(told) == (not fails)
    await asyncio.gather(change, return_exceptions=True)
    await own.told("anna")


async def test_a_store_that_hangs_holds_no_reader_up_for_long(
    store: Held, record: MemoryRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "TOLD_SECONDS", 0.0)
    own = OwnerEdits(store, rng=Random(1))

    async def plan() -> Plan[None]:
        return Plan(None, put=[record])

    change = asyncio.create_task(own.apply("anna", plan))
    await store.made.wait()
    await own.told("anna")
    assert not change.done()
    change.cancel()
    await asyncio.gather(change, return_exceptions=True)
    await own.told("anna")

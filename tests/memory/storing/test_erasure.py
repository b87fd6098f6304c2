"""Erasing with a receipt."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from memrouter.config.memory import MemorySettings, SqliteSettings
from memrouter.memory.storing.edits import OwnerEdits
from memrouter.memory.storing.erasure import Eraser
from memrouter.memory.storing.marks import ErasureMarks
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryType, Scope
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import MemoryStore
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import ALL_TYPES, Filter, MergeMode, ScanPage, ScanQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import NOW, RecordFactory

from ..gates import ANNA, Bench, open_store, turn

Step = Callable[[], Awaitable[object]]


class Interrupted(InstrumentedStore):
    """Has somebody else's step come right behind its next reading of memories, or its next deletion."""

    step: Step | None = None

    async def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        async for page in super().scan(query):
            yield page
        await self._interrupt()

    async def delete(self, scope: Scope, where: Filter) -> int:
        count = await super().delete(scope, where)
        await self._interrupt()
        return count

    async def _interrupt(self) -> None:
        step, self.step = self.step, None
        if step is not None:
            await step()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    opened = await SqliteStore.open(settings, dimension=8, embedding_model="test-model")
    yield opened
    await opened.aclose()


@pytest.fixture
def eraser(store: MemoryStore) -> Eraser:
    marks = ErasureMarks(store.state)
    return Eraser(store, edits=OwnerEdits(store, rng=Random(1)), marks=marks, clock=ManualClock(NOW))


def digest(*ids: str) -> str:
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(ids)).encode()).hexdigest()


async def left(store: MemoryStore) -> set[str]:
    return {record.content async for page in store.scan(ScanQuery()) for record in page.records}


async def test_the_receipt_covers_exactly_what_went(store: MemoryStore, eraser: Eraser) -> None:
    make = RecordFactory(store.capabilities).make
    mine = make("mine")
    hidden = [make("hidden", superseded_by="x"), make("expired", expires_at=1)]
    others = [make("work", project_id="work"), make("bob's", user_id="bob"), make("how", type=MemoryType.PROCEDURAL)]
    await store.merge([mine, *hidden, *others], mode=MergeMode.SKIP)
    receipt = await eraser.erase(Scope("alice"), frozenset({MemoryType.EPISODIC}), actor=Actor.OWNER)
    assert (receipt.count, receipt.erased_at) == (3, NOW)
    assert receipt.sha256 == digest(mine.id, *(record.id for record in hidden))
    assert await left(store) == {"work", "bob's", "how"}
    again = await eraser.erase(Scope("alice", None), ALL_TYPES, actor=Actor.OWNER)
    assert again.sha256 == digest(others[0].id, others[2].id)
    assert await left(store) == {"bob's"}


async def test_many_pages_are_erased_whole(store: MemoryStore, eraser: Eraser) -> None:
    records = RecordFactory(store.capabilities).many(1234)
    await store.merge(records, mode=MergeMode.SKIP)
    receipt = await eraser.erase(Scope("alice"), ALL_TYPES, actor=Actor.OWNER)
    assert (receipt.count, receipt.sha256) == (1234, digest(*(record.id for record in records)))
    assert await store.count(None) == 0


async def erase_conversation(eraser: Eraser) -> None:
    await eraser.erase_conversation(ANNA, "c1", actor=Actor.OWNER)


async def forget_all(eraser: Eraser) -> None:
    await eraser.forget_all(ANNA, ALL_TYPES, actor=Actor.OWNER)


async def erase_all(eraser: Eraser) -> None:
    await eraser.erase(ANNA, ALL_TYPES, actor=Actor.OWNER)


@pytest.mark.parametrize("erase", [erase_conversation, forget_all, erase_all])
@pytest.mark.parametrize("kept", [0, 3])
async def test_a_turn_that_waited_is_not_brought_back_behind_the_reading_of_what_is_erased(
    tmp_path: Path, erase: Callable[[Eraser], Awaitable[None]], kept: int
) -> None:
    async with open_store(tmp_path) as inner:
        store = Interrupted(inner, observer=Metrics(), clock=ManualClock())
        bench = Bench(store, MemorySettings())
        for number in range(3):  # the router knows by now what it keeps of her
            text = f"My cat number {number} likes tuna."
            await bench.gate.write(ANNA, [turn(text, number)], actor=Actor.ROUTER, begun_at=bench.clock.now_ms())
        if not kept:
            await erase(bench.eraser)
            bench.clock.ms += 1000
            other = Scope("anna", "other")
            for number in range(3):
                text = f"My dog number {number} likes bones."
                await bench.gate.write(other, [turn(text, number)], actor=Actor.ROUTER, begun_at=bench.clock.now_ms())
        late = [turn("My sister Vera lives in Oslo.", 7)]
        waiting = await bench.gate.admit(ANNA, late, actor=Actor.ROUTER, begun_at=bench.clock.now_ms())
        bench.clock.ms += 1000
        store.step = lambda: bench.gate.store(waiting)
        await erase(bench.eraser)
        assert store.step is None
        assert not {text for text in await left(store) if "cat" in text or "Oslo" in text}

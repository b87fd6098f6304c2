"""Erasing with a receipt."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.memory.storing.edits import OwnerEdits
from memrouter.memory.storing.erasure import Eraser
from memrouter.memory.storing.marks import ErasureMarks
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryType, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import ALL_TYPES, MergeMode, ScanQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import NOW, RecordFactory


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

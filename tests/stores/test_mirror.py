"""Whatever the two stores hold, comparing an owner makes the new one equal to the old, and touches nobody else."""

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores import mirror as mirror_module
from memrouter.stores.base import MemoryStore
from memrouter.stores.joined import joined
from memrouter.stores.mirror import Mirror, NotKept, generation
from memrouter.stores.query import EVERYTHING, MergeMode, ScanQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory

ALICE = Scope("alice")


async def opened(path: Path) -> SqliteStore:
    settings = SqliteSettings(path=str(path), synchronous="normal")
    return await SqliteStore.open(settings, dimension=16, embedding_model="test-model")


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    store = await opened(tmp_path / "old.db")
    yield store
    await store.aclose()


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    store = await opened(tmp_path / "new.db")
    yield store
    await store.aclose()


@pytest.fixture
def make(old: MemoryStore) -> RecordFactory:
    return RecordFactory(old.capabilities)


@pytest.fixture
def mirror(old: MemoryStore, new: MemoryStore) -> Mirror:
    mirror = Mirror(old, new)
    mirror.start()
    return mirror


async def differing(old: MemoryStore, new: MemoryStore, user_id: str) -> int:
    query = ScanQuery(user_id=user_id)
    return len([pair async for pair in joined(old.scan(query), new.scan(query)) if not pair.same])


def variants(make: RecordFactory, rng: random.Random) -> tuple[list[MemoryRecord], list[MemoryRecord]]:
    """Return what the old and the new store hold of somebody: equal, changed, hidden, moved in time, or in one only."""
    ours, theirs = [], []
    for number in range(60):
        record = make.make(f"fact {number}", access_count=rng.randrange(3))
        match rng.randrange(6):
            case 0:
                ours.append(record)
            case 1:
                theirs.append(record)
            case 2:
                ours.append(record)
                theirs.append(make.make(f"older text {number}", id=record.id, created_at=record.created_at))
            case 3:
                ours.append(make.make(f"fact {number}", id=record.id, superseded_by="m1", expires_at=NOW))
                theirs.append(record)
            case 4:
                ours.append(record)
                theirs.append(make.make(f"fact {number}", id=record.id, created_at=NOW + rng.randrange(200)))
            case _:
                ours.append(record)
                theirs.append(record)
    return ours, theirs


@pytest.mark.parametrize("seed", range(5))
async def test_an_owner_becomes_equal_whatever_the_new_store_holds(
    old: MemoryStore, new: MemoryStore, make: RecordFactory, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(mirror_module, "BATCH", 7)
    ours, theirs = variants(make, random.Random(seed))
    await old.merge(ours, mode=MergeMode.REPLACE)
    await new.merge([*theirs, *make.many(3, user_id="bob")], mode=MergeMode.REPLACE)
    assert await differing(old, new, "alice")
    assert await mirror.sync("alice")
    assert await differing(old, new, "alice") == 0
    assert await new.count("bob") == 3
    proof = mirror.proof("alice")
    assert proof is not None
    assert (proof.old, proof.new) == (await generation(old, "alice"), await generation(new, "alice"))


async def test_nothing_is_noted_before_the_start(old: MemoryStore, new: MemoryStore) -> None:
    mirror = Mirror(old, new)
    mirror.note("alice", frozenset({"m1"}))
    mirror.doubt("alice")
    assert (mirror.dirty, mirror.owes("alice"), mirror.wake.is_set()) == (0, False, False)


async def test_many_single_debts_become_one_of_the_whole_owner(
    old: MemoryStore, new: MemoryStore, make: RecordFactory, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "MAX_OWED_IDS", 2)
    records = make.many(3)
    await old.create(records)
    await new.create([make.make("not in the old one")])
    for record in records:
        mirror.note("alice", frozenset({record.id}))
    await mirror.carry("alice")
    assert await differing(old, new, "alice") == 0
    assert (mirror.dirty, mirror.owes("alice")) == (0, False)


class Interrupting:
    """The old store; somebody else writes to it once, just after memories were read by their ids."""

    def __init__(self, inner: MemoryStore, write: Any) -> None:
        self._inner = inner
        self._write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        found = await self._inner.get(scope, ids, now=now)
        write, self._write = self._write, None
        if write is not None:
            await write()
        return found


async def test_what_changes_while_it_is_carried_over_is_read_again(
    old: MemoryStore, new: MemoryStore, make: RecordFactory
) -> None:
    record = make.make("likes tea")
    await old.create([record])

    async def forget() -> None:
        await old.delete(ALICE, EVERYTHING)

    mirror = Mirror(cast("MemoryStore", Interrupting(old, forget)), new)
    mirror.start()
    mirror.note("alice", frozenset({record.id}))
    await mirror.carry("alice")
    assert await new.count(None) == 0
    assert not mirror.owes("alice")


class Forgetful:
    """A new store that says it took everything, and keeps nothing."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> list[object]:
        return []


async def test_a_store_that_does_not_keep_what_it_is_given_is_found_out(
    old: MemoryStore, new: MemoryStore, make: RecordFactory
) -> None:
    await old.create([make.make()])
    mirror = Mirror(old, cast("MemoryStore", Forgetful(new)))
    mirror.start()
    with pytest.raises(NotKept):
        await mirror.sync("alice")
    assert mirror.proof("alice") is None
    assert mirror.failures == 1


async def test_what_is_on_its_way_is_still_owed(old: MemoryStore, new: MemoryStore, make: RecordFactory) -> None:
    record = make.make()
    await old.create([record])
    owed: list[bool] = []

    async def look() -> None:
        owed.append(mirror.owes("alice"))

    mirror = Mirror(cast("MemoryStore", Interrupting(old, look)), new)
    mirror.start()
    mirror.note("alice", frozenset({record.id}))
    await mirror.carry("alice")
    assert (owed, mirror.owes("alice")) == ([True], False)

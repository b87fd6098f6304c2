"""Two stores as one: which of them answers, and that no answer is older than the last write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from memrouter.config.memory import RedisCacheSettings, SqliteSettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.observability.metrics import Metrics
from memrouter.stores import mirror as mirror_module
from memrouter.stores.base import MemoryStore
from memrouter.stores.cache_server import ValkeyCacheServer
from memrouter.stores.cached import CachedStore
from memrouter.stores.hot_cache import HotCache
from memrouter.stores.migrating import MigratingStore
from memrouter.stores.mirror import Mirror, generation
from memrouter.stores.query import EVERYTHING, Candidates, Change, Filter, ListQuery, MergeMode, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.state import StateStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.valkey import ValkeyServer

ALICE, BOB = Scope("alice"), Scope("bob")
LATER = NOW + 1_000_000
WHOLE = StoreQuery(vector=None, k=1, now=LATER, scan_limit=99)


class Down:
    """A state that cannot be reached."""

    def __getattr__(self, name: str) -> Any:
        raise StoreUnavailable("switched off")


class Switchable:
    """A store that fails while it is told to, and keeps the names of what it was asked."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner
        self.down = False
        self.asked: list[str] = []

    @property
    def store(self) -> MemoryStore:
        return cast("MemoryStore", self)

    @property
    def state(self) -> StateStore:
        return self._inner.state if not self.down else cast("StateStore", Down())

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in ("capabilities", "aclose", "scan"):
            return found

        async def asked(*arguments: Any, **options: Any) -> Any:
            if self.down:
                raise StoreUnavailable("switched off")
            self.asked.append(name)
            return await found(*arguments, **options)

        return asked


class House:
    """An old and a new store, and the one that stands for both."""

    def __init__(self, old: MemoryStore, new: MemoryStore) -> None:
        self.old, self.new = Switchable(old), Switchable(new)
        self.mirror = Mirror(self.old.store, self.new.store)
        self.clock = ManualClock()
        self.store = MigratingStore(self.old.store, self.new.store, self.mirror, clock=self.clock)

    async def move(self, *users: str) -> None:
        """Bring these users over and let reads go to the new store."""
        self.mirror.start()
        for user in users:
            assert await self.mirror.sync(user)
        self.store.switch()

    async def contents(self, scope: Scope = ALICE) -> list[str]:
        return sorted(record.content for record in (await self.store.search(scope, WHOLE)).records or ())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = [
        await SqliteStore.open(
            SqliteSettings(path=str(tmp_path / f"{name}.db"), synchronous="normal"),
            dimension=16,
            embedding_model="test-model",
        )
        for name in ("old", "new")
    ]
    house = House(*opened)
    yield house
    house.old.down = house.new.down = False
    await house.store.aclose()


@pytest.fixture
def make(house: House) -> RecordFactory:
    return RecordFactory(house.store.capabilities)


async def texts(store: MemoryStore, scope: Scope = ALICE) -> list[str]:
    page = await store.list(scope, ListQuery(limit=99, now=LATER, include_superseded=True))
    return sorted(record.content for record in page.records)


async def test_before_the_start_the_new_store_is_left_alone(house: House, make: RecordFactory) -> None:
    record = make.make("likes tea")
    await house.store.create([record])
    await house.store.touch(ALICE, [record.id], now=LATER)
    await edit(house.store, ALICE, record.id, now=LATER, importance=1.0)
    assert await house.contents() == ["likes tea"]
    assert house.new.asked == []
    assert house.mirror.dirty == 0


async def test_a_write_is_in_both_stores_when_it_returns(house: House, make: RecordFactory) -> None:
    await house.move("alice")
    first, second = make.make("one"), make.make("two")
    await house.store.create([first, second])
    assert await texts(house.new.store) == ["one", "two"]
    await house.store.merge([make.make("three", id="m3")], mode=MergeMode.SKIP)
    await edit(house.store, ALICE, first.id, now=LATER, content="four")
    await edit(house.store, ALICE, "m3", now=LATER, superseded_by=first.id)
    await house.store.delete(ALICE, Filter(ids=frozenset({second.id})))
    assert await texts(house.new.store) == ["four", "three"]
    planned = await generation(house.store, "alice")
    five = replace(second, content="five", pinned=True)
    assert await house.store.commit(Change("alice", planned, put=[five], remove=frozenset({"m3"}))) is not None
    assert await house.store.commit(Change("alice", planned, put=[make.make("late")])) is None
    assert await texts(house.new.store) == ["five", "four"]
    await house.store.delete(ALICE, EVERYTHING)
    assert await texts(house.new.store) == []
    assert not house.mirror.owes("alice")


async def test_the_new_store_answers_for_whom_it_is_proven_equal(house: House, make: RecordFactory) -> None:
    await house.store.create([make.make("likes tea"), make.make("likes jam", user_id="bob")])
    await house.move("alice")
    house.old.asked.clear()
    house.new.asked.clear()
    assert await house.contents() == ["likes tea"]
    assert (house.old.asked, house.new.asked) == (["search"], ["search"])  # the old one for its generation
    assert (await house.store.list(ALICE, ListQuery(limit=1, now=LATER))).total == 1
    assert (await house.store.stats(ALICE, now=LATER)).total == 1
    assert {"list", "stats"} <= set(house.new.asked)
    assert not {"list", "stats", "get"} & set(house.old.asked)
    assert await house.contents(BOB) == ["likes jam"]
    assert house.mirror.doubtful() == ["bob"], "who is not known to be equal is compared"


async def test_what_another_router_wrote_is_never_missed(house: House, make: RecordFactory) -> None:
    await house.store.create([make.make("likes tea")])
    await house.move("alice")
    await house.old.store.create([make.make("likes jam")])
    assert await house.contents() == ["likes jam", "likes tea"]
    assert (await house.store.list(ALICE, ListQuery(limit=1, now=LATER))).total == 2
    assert house.mirror.doubtful() == ["alice"]
    assert await house.mirror.sync("alice")
    house.new.asked.clear()
    assert await house.contents() == ["likes jam", "likes tea"]
    assert house.new.asked == ["search"]


async def test_what_another_router_left_half_done_in_the_new_store_is_never_read(
    house: House, make: RecordFactory
) -> None:
    record = make.make("likes tea")
    await house.store.create([record])
    await house.move("alice")
    await house.new.store.merge([make.make("deleted long ago")], mode=MergeMode.REPLACE)
    assert await house.contents() == ["likes tea"]
    assert [found.content for found in await house.store.get(ALICE, [record.id], now=LATER)] == ["likes tea"]
    assert (await house.store.stats(ALICE, now=LATER)).total == 1
    assert await house.mirror.sync("alice")
    assert await texts(house.new.store) == ["likes tea"]


async def test_an_answer_held_since_before_the_switch_stands(house: House, make: RecordFactory) -> None:
    await house.store.create([make.make()])
    before = await house.store.search(ALICE, WHOLE)
    await house.move("alice")

    async def again(known: int) -> Candidates:
        query = StoreQuery(vector=None, k=1, now=LATER, scan_limit=99, known_generation=known)
        return await house.store.search(ALICE, query)

    held = await again(before.generation)
    assert held.unchanged
    assert held.generation == before.generation
    await house.store.create([make.make()])
    changed = await again(before.generation)
    assert len(changed.records or ()) == 2
    assert changed.generation != before.generation
    assert await house.mirror.sync("alice")
    assert (await again(changed.generation)).unchanged
    house.store.leave()
    assert (await again(changed.generation)).unchanged


async def test_reads_go_on_from_the_new_store_while_the_old_one_is_down(house: House, make: RecordFactory) -> None:
    record = make.make("likes tea")
    await house.store.create([record, make.make("likes jam", user_id="bob")])
    await house.move("alice", "bob")
    await house.store.create([make.make("likes pie", user_id="bob")])  # carried over, not yet compared
    house.old.down = True
    assert await house.contents() == ["likes tea"]
    answer = await house.store.search(BOB, WHOLE)
    assert len(answer.records or ()) == 2
    assert answer.generation < 0, "it is none of the old store's"
    query = StoreQuery(vector=None, k=1, now=LATER, scan_limit=99, known_generation=answer.generation)
    assert (await house.store.search(BOB, query)).unchanged
    assert [found.id for found in await house.store.get(ALICE, [record.id], now=LATER)] == [record.id]
    for _ in range(2):  # one that failed keeps nobody from what is known
        with pytest.raises(StoreUnavailable):
            await house.store.delete(ALICE, EVERYTHING)
        assert await house.contents() == ["likes tea"]
    house.old.down = False
    house.clock.ms += 10_000
    back = await house.store.search(BOB, query)
    assert len(back.records or ()) == 2
    assert back.generation == await generation(house.old.store, "bob")


async def test_what_never_arrived_is_not_hidden_while_the_old_store_is_down(house: House, make: RecordFactory) -> None:
    record = make.make("likes tea")
    await house.store.create([record])
    await house.move("alice")
    house.new.down = True
    assert await house.store.delete(ALICE, Filter(ids=frozenset({record.id}))) == 1
    assert house.mirror.owes("alice")
    house.new.down, house.old.down = False, True
    with pytest.raises(StoreUnavailable):
        await house.store.search(ALICE, WHOLE)
    with pytest.raises(StoreUnavailable, match="last changes"):
        await house.store.list(ALICE, ListQuery(limit=1, now=LATER))


async def test_reads_go_back_to_the_old_store_when_the_new_one_fails(house: House, make: RecordFactory) -> None:
    await house.store.create([make.make("likes tea")])
    await house.move("alice")
    house.new.down = True
    assert await house.contents() == ["likes tea"]
    assert house.store.left.is_set()
    assert not house.store.reads_new
    await house.store.create([make.make("likes jam")])
    house.new.down = False
    assert await house.contents() == ["likes jam", "likes tea"]
    assert await house.mirror.sync("alice")
    assert await texts(house.new.store) == ["likes jam", "likes tea"]


async def test_lists_go_back_too(house: House, make: RecordFactory) -> None:
    await house.store.create([make.make("likes tea")])
    await house.move("alice")
    house.new.down = True
    assert (await house.store.list(ALICE, ListQuery(limit=1, now=LATER))).total == 1
    assert house.store.left.is_set()


async def test_accesses_are_counted_in_both(house: House, make: RecordFactory) -> None:
    record = make.make()
    await house.store.create([record])
    await house.move("alice")
    assert await house.store.touch(ALICE, [record.id], now=LATER) == 1
    house.new.down = True
    assert await house.store.touch(ALICE, [record.id], now=LATER) == 1
    house.new.down = False
    assert house.mirror.doubtful() == ["alice"]
    await house.mirror.sync("alice")
    (found,) = await house.new.store.get(ALICE, [record.id], now=LATER)
    assert (found.access_count, found.last_accessed) == (2, LATER)


async def test_too_much_owed_is_forgotten_and_reads_go_back(
    house: House, make: RecordFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "MAX_OWED", 2)
    await house.move()
    house.new.down = True
    for number in range(3):
        await house.store.create([make.make(user_id=f"user{number}")])
    assert not house.mirror.started
    assert not house.store.reads_new
    assert house.mirror.dirty == 0
    assert house.mirror.wake.is_set()


async def test_a_write_does_not_wait_for_a_new_store_that_hangs(
    house: House, make: RecordFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.move("alice")
    hanging = asyncio.Event()

    async def merge(records: Sequence[MemoryRecord], *, mode: MergeMode) -> list[object]:
        await hanging.wait()
        return []

    monkeypatch.setattr("memrouter.stores.migrating.CARRY_SECONDS", 0.0)
    monkeypatch.setattr(house.new, "merge", merge, raising=False)
    await house.store.create([make.make("likes tea")])
    assert house.mirror.owes("alice")
    assert await house.contents() == ["likes tea"]


async def test_what_the_hot_cache_holds_is_never_outdated_by_the_switch(
    house: House, make: RecordFactory, shared_server: ValkeyServer
) -> None:
    settings = RedisCacheSettings(enabled=True, address=f"127.0.0.1:{shared_server.port}", key_prefix="migrating:")
    metrics = Metrics()
    cache = HotCache(await ValkeyCacheServer.open(settings), observer=metrics, clock=house.clock)
    cached = CachedStore(house.store, cache, settings, name="migrating", observer=metrics)

    async def contents() -> list[str]:
        return sorted(record.content for record in (await cached.search(ALICE, WHOLE)).records or ())

    await cached.create([make.make("likes tea")])
    assert await contents() == ["likes tea"]
    await house.move("alice")
    assert await contents() == ["likes tea"]
    await house.old.store.create([make.make("likes jam")])  # by another router
    assert await contents() == ["likes jam", "likes tea"]
    assert await house.mirror.sync("alice")
    assert await contents() == ["likes jam", "likes tea"]
    house.store.leave()
    await house.old.store.delete(ALICE, EVERYTHING)
    assert await contents() == []
    await cache.aclose()

"""Memories move while they are written, deleted and read by several routers, and the new store fails at random."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryType, Scope
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, StoreQuery
from memrouter.stores.state import LEASES
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory
from memrouter.transfer.live_migration import Phase

from .two_stores import DIMENSION, MODEL, MovingRouter, differences, facts, moving

LATER = NOW + 1_000_000


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def router(stack: AsyncExitStack, tmp_path: Path) -> MovingRouter:
    return await moving(stack, tmp_path)


@pytest.fixture
def make() -> RecordFactory:
    return RecordFactory(Capabilities("sqlite", DIMENSION, MODEL, exact=True))


class Person:
    """Somebody who writes through one router and reads through another, and knows what is to be read.

    Args:
        user_id: Of this person.
        routers: Used in turn.
        make: Makes memories.
        rng: Chooses what is done.
    """

    def __init__(self, user_id: str, routers: list[MemoryStore], make: RecordFactory, rng: random.Random) -> None:
        self._scope = Scope(user_id)
        self._routers = routers
        self._make = make
        self._rng = rng
        self._number = 0
        self.known: dict[str, str] = {}

    async def live(self, steps: int) -> None:
        for _ in range(steps):
            await self._rng.choice((self._add, self._add, self._add, self._edit, self._forget, self._forget_kind))()
            if self._rng.random() < 0.02:
                await self._forget_all()
            await self._note_a_fact()
            await self._look()

    @property
    def _router(self) -> MemoryStore:
        return self._rng.choice(self._routers)

    def _text(self) -> str:
        self._number += 1
        return f"fact {self._number} of {self._scope.user_id}"

    async def _add(self) -> None:
        records = [
            self._make.make(self._text(), user_id=self._scope.user_id, type=self._rng.choice(list(MemoryType)))
            for _ in range(self._rng.randint(1, 3))
        ]
        await self._router.create(records)
        self.known |= {record.id: record.content for record in records}

    async def _edit(self) -> None:
        if self.known:
            memory_id, text = self._rng.choice(list(self.known)), self._text()
            assert await edit(self._router, self._scope, memory_id, now=LATER, content=text) is not None
            self.known[memory_id] = text

    async def _forget(self) -> None:
        if self.known:
            memory_id = self._rng.choice(list(self.known))
            assert await self._router.delete(self._scope, Filter(ids=frozenset({memory_id}))) == 1
            del self.known[memory_id]

    async def _forget_kind(self) -> None:
        where = Filter(types=frozenset({MemoryType.PROCEDURAL}))
        gone = {
            r.id for r in (await self._router.list(self._scope, ListQuery(limit=999, now=LATER, where=where))).records
        }
        assert await self._router.delete(self._scope, where) == len(gone)
        self.known = {memory_id: text for memory_id, text in self.known.items() if memory_id not in gone}

    async def _forget_all(self) -> None:
        assert await self._router.delete(self._scope, EVERYTHING) == len(self.known)
        self.known = {}

    async def _note_a_fact(self) -> None:
        """Write, remove or drop facts that everybody shares."""
        state, key = self._router.state, f"key{self._rng.randrange(4)}"
        number = self._rng.random()
        if number < 0.7:
            await state.put("facts", key, self._text().encode(), now=NOW)
        elif number < 0.95:
            await state.remove("facts", key)
        else:
            await state.drop("facts")

    async def _look(self) -> None:
        """Read in every way; each answer has to be what was written, whatever the migration does."""
        query = StoreQuery(vector=None, k=1, now=LATER, scan_limit=999)
        found = (await self._router.search(self._scope, query)).records
        assert found is not None
        assert {record.id: record.content for record in found} == self.known
        page = await self._router.list(self._scope, ListQuery(limit=999, now=LATER))
        assert {record.id: record.content for record in page.records} == self.known
        if self.known:
            memory_id = self._rng.choice(list(self.known))
            (record,) = await self._router.get(self._scope, [memory_id], now=LATER)
            assert record.content == self.known[memory_id]
            await self._router.touch(self._scope, [memory_id], now=LATER)


async def test_memories_that_were_there_are_moved_and_read_from_the_new_store(
    router: MovingRouter, make: RecordFactory
) -> None:
    alice = make.many(30)
    hidden = [make.make(expires_at=NOW, superseded_by="m2", access_count=3, last_accessed=NOW)]
    await router.store.create([*alice, *hidden, *make.many(5, user_id="bob")])
    router.work.start()
    await router.until(Phase.SWITCHED)
    assert (router.work.status.copied, router.work.status.total) == (36, 36)
    assert await differences(router.old.store, router.new.store) == []
    before = dict(router.new.calls)
    answer = await router.store.search(Scope("alice"), StoreQuery(vector=None, k=1, now=LATER, scan_limit=99))
    assert answer.records is not None
    assert {record.id for record in answer.records} == {record.id for record in alice}
    assert router.new.calls["search"] == before["search"] + 1
    router.old.down = True
    page = await router.store.list(Scope("bob"), ListQuery(limit=99, now=LATER))
    assert page.total == 5
    with pytest.raises(StoreUnavailable):
        await router.store.create([make.make()])


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_lost_doubled_or_brought_back_whatever_fails(
    stack: AsyncExitStack, tmp_path: Path, make: RecordFactory, seed: int
) -> None:
    rng = random.Random(seed)
    routers = [await moving(stack, tmp_path, seed=seed + 10 * number) for number in range(2)]
    await routers[0].store.create([make.make(user_id=f"user{number % 3}") for number in range(60)])
    kept = await routers[0].store.list(Scope("user0"), ListQuery(limit=99, now=LATER))
    assert kept.total == 20
    for router in routers:
        router.new.rate = rng.choice((0.0, 0.02, 0.2))
        router.work.start()
    people = [Person(f"person{number}", [r.store for r in routers], make, random.Random(number)) for number in range(4)]

    async def outages() -> None:
        for _ in range(4):
            victim = rng.choice(routers).new
            await asyncio.sleep(rng.uniform(0.0, 0.2))
            victim.down = True
            await asyncio.sleep(rng.uniform(0.0, 0.2))
            victim.down = False

    await asyncio.gather(outages(), *(person.live(40) for person in people))
    for router in routers:
        router.new.rate = 0.0
    for router in routers:
        await router.until(Phase.SWITCHED)
    assert await differences(routers[0].old.store, routers[0].new.store) == []
    assert await facts(routers[0].old.store) == await facts(routers[0].new.store) != {}
    for person in people:
        await person._look()
        for router in routers:
            total = (await router.new.store.list(Scope(person._scope.user_id), ListQuery(limit=1, now=LATER))).total
            assert total == len(person.known)
    assert await routers[0].new.store.count(None) == 60 + sum(len(person.known) for person in people)


async def test_facts_beside_the_memories_are_moved_and_removed_but_no_lease(router: MovingRouter) -> None:
    for number in range(120):
        await router.store.state.put(f"space{number % 3}", f"key{number}", b"1", now=NOW)
    await router.store.state.put(LEASES, "upkeep", b"1", now=NOW)
    await router.new.store.state.put("space0", "key0", b"outdated", now=NOW)
    await router.new.store.state.put("space0", "gone", b"outdated", now=NOW)
    router.work.start()
    await router.until(Phase.SWITCHED)
    expected = {key: fact for key, fact in (await facts(router.old.store)).items() if key[0] != LEASES}
    assert len(expected) == 120
    assert await facts(router.new.store) == expected


async def test_a_fact_that_the_new_store_missed_is_brought_over_when_it_is_back(router: MovingRouter) -> None:
    router.work.start()
    await router.until(Phase.SWITCHED)
    router.new.down = True
    await router.store.state.put("switches", "saving", b"off", now=NOW)
    assert router.store.facts.owes("switches", "saving")
    router.new.down = False
    await router.until(Phase.SWITCHED)
    assert await facts(router.new.store) == {("switches", "saving"): (b"off", None)}


async def test_a_restart_compares_everybody_before_it_reads_from_the_new_store(
    stack: AsyncExitStack, tmp_path: Path, make: RecordFactory
) -> None:
    first = await moving(stack, tmp_path)
    records = make.many(20)
    await first.store.create(records)
    first.work.start()
    await first.until(Phase.SWITCHED)
    await first.work.aclose()
    await first.old.store.delete(Scope("alice"), Filter(ids=frozenset({records[0].id})))  # never carried over
    second = await moving(stack, tmp_path)
    assert not second.store.reads_new
    second.work.start()
    await second.until(Phase.SWITCHED)
    assert await differences(second.old.store, second.new.store) == []
    assert "merge" not in second.new.calls, "what is there already is not written again"


async def test_closing_brings_over_what_was_just_written(router: MovingRouter, make: RecordFactory) -> None:
    router.work.start()
    await router.until(Phase.SWITCHED)
    router.new.down = True
    await router.store.create(make.many(3))
    router.new.down = False
    await router.work.aclose(seconds=10)
    assert await router.new.store.count(None) == 3


async def test_a_new_store_that_cannot_be_reached_is_waited_for(router: MovingRouter, make: RecordFactory) -> None:
    await router.store.create(make.many(3))
    router.new.down = True
    router.work.start()
    async with asyncio.timeout(10):
        while not router.work.status.last_error:
            await asyncio.sleep(0.01)
    assert router.work.status.phase is Phase.WAITING
    assert router.work.status.last_error == "a store cannot be reached"
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await router.work.check()
    assert (await router.store.list(Scope("alice"), ListQuery(limit=1, now=LATER))).total == 3
    router.new.down = False
    await router.until(Phase.SWITCHED)
    await router.work.check()


async def test_a_failure_after_the_switch_is_verified_away(router: MovingRouter, make: RecordFactory) -> None:
    await router.store.create(make.many(3))
    router.work.start()
    await router.until(Phase.SWITCHED)
    router.new.down = True
    assert (await router.store.list(Scope("alice"), ListQuery(limit=1, now=LATER))).total == 3
    async with asyncio.timeout(10):
        while router.work.status.phase is Phase.SWITCHED or "failed" not in router.work.status.last_error:
            await asyncio.sleep(0)
    await router.new.inner.delete(Scope("alice"), EVERYTHING)  # it comes back without what it had
    router.new.down = False
    await router.until(Phase.SWITCHED)
    assert await differences(router.old.store, router.new.store) == []
    assert router.work.status.last_error == ""


@pytest.mark.parametrize("which", ["newer", "many"])
async def test_memories_of_another_origin_in_the_new_store_are_not_removed(
    router: MovingRouter, make: RecordFactory, which: str
) -> None:
    early = make.many(101)
    await router.old.store.create([make.make("the old store's")])
    strangers = [make.make("newer than everything")] if which == "newer" else early
    await router.new.store.create(strangers)
    router.work.start()
    await router.until(Phase.BLOCKED)
    await router.store.create([make.make("written meanwhile")])
    assert await router.new.store.count(None) == len(strangers)
    assert "migration.overwrite: true" in router.work.status.last_error
    assert (await router.store.list(Scope("alice"), ListQuery(limit=9, now=LATER))).total == 2


async def test_memories_of_another_origin_are_removed_where_that_is_allowed(
    stack: AsyncExitStack, tmp_path: Path, make: RecordFactory
) -> None:
    router = await moving(stack, tmp_path, overwrite=True)
    await router.old.store.create(make.many(3))
    await router.new.store.create(make.many(5, user_id="bob"))
    router.work.start()
    await router.until(Phase.SWITCHED)
    assert await differences(router.old.store, router.new.store) == []


async def test_what_a_stopped_copy_left_is_removed(router: MovingRouter, make: RecordFactory) -> None:
    """A memory that was deleted in the old store alone, just before the router was killed."""
    left = make.make("forgotten")
    await router.old.store.create(make.many(3))
    await router.new.store.create([left])
    router.work.start()
    await router.until(Phase.SWITCHED)
    assert await differences(router.old.store, router.new.store) == []

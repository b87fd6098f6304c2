"""Commits of several routers at once, and of routers that are killed in them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import pytest
from msgspec.structs import replace

from memrouter.config.memory import MilvusSettings
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.query import EVERYTHING, Change, ListQuery, StoreQuery
from memrouter.testing.clock import ManualClock
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory

from .conftest import Opened
from .watched import Watched

ALICE = Scope("alice")
LATER = NOW + 1_000_000


async def generation(store: MilvusStore) -> int:
    return (await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation


async def kept(store: MilvusStore) -> dict[str, tuple[str, str | None]]:
    """Return everything of alice: by id the text, and what took its place."""
    page = await store.list(ALICE, ListQuery(limit=100, now=LATER, include_superseded=True))
    assert page.total == len(page.records) == await store.count("alice")
    return {record.id: (record.content, record.superseded_by) for record in page.records}


def shape(*records: MemoryRecord) -> dict[str, tuple[str, str | None]]:
    return {record.id: (record.content, record.superseded_by) for record in records}


async def audit(client: Connection, settings: MilvusSettings, store: MilvusStore) -> None:
    """Check that after a further write nothing is left over, and after a deletion nothing at all."""
    everything = await store.list(ALICE, ListQuery(limit=100, now=LATER, include_superseded=True))

    async def again() -> Plan[None]:
        return Plan(None, put=everything.records)

    await OwnerEdits(store, rng=Random(0)).apply("alice", again)
    rows = await client.query(settings.collection, 'key != ""', ["id", "memory_type"], level="Strong")
    assert [row for row in rows if row["memory_type"] == "~open"] == []
    ids = [row["id"] for row in rows if not row["memory_type"].startswith("~")]
    assert sorted(ids) == sorted(record.id for record in everything.records)
    await store.delete(ALICE, EVERYTHING)
    rows = await client.query(settings.collection, 'key != ""', ["memory_type"], level="Strong")
    assert {row["memory_type"] for row in rows} <= {"~generation", "~gone", "~access"}


@pytest.mark.parametrize("met", [False, True], ids=["alone", "met"])
async def test_a_router_killed_behind_any_step_leaves_its_change_whole_or_not_at_all(
    opened: Opened, client: Connection, shared_collection: MilvusSettings, met: bool
) -> None:
    """Where another router's change came between, that one stands in any case."""
    steps, dead = 1, True
    survivor = await opened(waits=False)
    while dead:
        make = RecordFactory(survivor.capabilities)
        old, gone, new, theirs = make.make("old"), make.make("gone"), make.make("new"), make.make("theirs")
        assert await survivor.delete(ALICE, EVERYTHING) in (0, 2, 3, 4)
        await survivor.create([old, gone])
        dying, rival = await opened(), await opened()
        planned = await generation(dying)
        change = Change("alice", planned, put=[replace(old, superseded_by=new.id), new], remove=frozenset({gone.id}))
        added = [theirs] if met else []

        async def meet(rival: MilvusStore = rival, planned: int = planned, theirs: MemoryRecord = theirs) -> None:
            assert await rival.commit(Change("alice", planned, put=[theirs])) is not None

        Watched(dying, steps=steps, before_insert=meet if met else None)
        given: int | None = -1
        with suppress(RuntimeError):
            given = await dying.commit(change)
            dead = False
        await survivor.check()  # waits until the server shows what was inserted
        before, after = shape(old, gone, *added), shape(*change.put, *added)
        found = await kept(survivor)
        if not dead:
            assert given is None if met else given is not None
            assert found == (before if met else after)
        elif met and steps < 2:  # killed before its insert, in front of which they meet
            assert found in (shape(old, gone), before)
        else:
            assert found in (before, after)
        assert await survivor.touch(ALICE, [old.id, theirs.id], now=LATER) >= len(found) - 3
        await audit(client, shared_collection, survivor)
        steps += 1
    assert steps > (6 if met else 4)


async def test_of_two_commits_that_have_not_seen_each_other_neither_is_kept_half(
    opened: Opened, make: RecordFactory
) -> None:
    """Both are inserted before either looks: both are taken back, and the next try is made."""
    one, other, third = await opened(), await opened(), await opened()
    old, first, second = make.make("old"), make.make("first"), make.make("second")
    await one.create([old])
    planned = await generation(one)
    met = asyncio.Barrier(2)
    for store in (one, other):
        Watched(store, before_insert=met.wait, after_insert=met.wait)
    given = await asyncio.gather(
        one.commit(Change("alice", planned, put=[replace(old, superseded_by=first.id), first])),
        other.commit(Change("alice", planned, put=[replace(old, superseded_by=second.id), second])),
    )
    assert list(given) == [None, None]
    assert await kept(third) == shape(old)
    now = await generation(third)
    assert now > planned  # who has seen one of them plans anew
    assert await third.commit(Change("alice", now, put=[first])) is not None
    assert await kept(third) == shape(old, first)


@pytest.mark.parametrize("write", ["create", "commit"])
async def test_nobody_builds_on_a_change_that_is_taken_back(opened: Opened, make: RecordFactory, write: str) -> None:
    taking, rival, late = await opened(), await opened(), await opened()
    old, new, theirs, added = make.make("old"), make.make("new"), make.make("theirs"), make.make("old")
    await taking.create([old])
    planned = await generation(taking)
    waiting: list[asyncio.Task[object]] = []

    async def others() -> None:
        """Write in another router, which has to wait; the change is there and not yet taken back."""
        await late.check()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: late.create([added], unique_content=True),
            "commit": lambda: late.commit(Change("alice", seen, put=[added])),
        }
        seen = await generation(late)
        waiting.append(asyncio.ensure_future(calls[write]()))
        done, _ = await asyncio.wait(waiting, timeout=0.2)
        assert not done

    async def meet() -> None:
        assert await rival.commit(Change("alice", planned, put=[theirs])) is not None

    Watched(taking, before_insert=meet, after_insert=others)
    assert await taking.commit(Change("alice", planned, put=[replace(old, superseded_by=new.id), new])) is None
    result = await waiting[0]
    assert await kept(rival) == shape(old, theirs)
    assert result == ([old.id] if write == "create" else None)


async def test_a_change_is_not_taken_back_once_another_router_has_taken_it_as_standing(
    opened: Opened, make: RecordFactory
) -> None:
    """A router that stood still for long in a commit must not undo what was built on it."""
    slow, rival, late = await opened(), await opened(), await opened(waits=False)
    old, new, theirs = make.make("old"), make.make("new"), make.make("theirs")
    await slow.create([old])
    planned = await generation(slow)

    async def meet() -> None:
        assert await rival.commit(Change("alice", planned, put=[theirs])) is not None

    async def others() -> None:
        await late.check()
        assert await edit(late, ALICE, new.id, now=LATER, importance=1.0) is not None

    Watched(slow, before_insert=meet, after_insert=others)
    put = [replace(old, superseded_by=new.id), new]
    told = await slow.commit(Change("alice", planned, put=put))
    assert told == planned, "who goes by this number reads anew, and finds what came between"
    assert await generation(late) != told
    assert await kept(rival) == shape(*put, theirs)
    (found,) = await rival.get(ALICE, [new.id], now=LATER)
    assert found.importance == 1.0


async def test_what_another_router_commits_while_all_is_deleted_is_deleted_too(
    opened: Opened, make: RecordFactory
) -> None:
    deleting, other = await opened(), await opened()
    old, new = make.make("old"), make.make("made from old")
    await deleting.create([old])
    planned = await generation(other)

    async def meet() -> None:
        assert await other.commit(Change("alice", planned, put=[replace(old, superseded_by=new.id), new])) is not None

    Watched(deleting, before_insert=meet)
    assert await deleting.delete(ALICE, EVERYTHING) == 2
    assert await kept(other) == {}


async def test_a_change_whose_router_was_killed_stands_after_a_while(opened: Opened, make: RecordFactory) -> None:
    clock = ManualClock(NOW)
    dying, other = await opened(), await opened(clock)
    old, new = make.make("old"), make.make("new")
    await dying.create([old])
    planned = await generation(dying)
    Watched(dying, steps=2)
    with pytest.raises(RuntimeError, match="killed"):
        await dying.commit(Change("alice", planned, put=[replace(old, superseded_by=new.id), new]))
    await other.check()  # waits until the server shows what was inserted
    assert await kept(other) == shape(replace(old, superseded_by=new.id), new)
    writing = asyncio.ensure_future(edit(other, ALICE, new.id, now=LATER, importance=1.0))
    done, _ = await asyncio.wait([writing], timeout=0.2)
    assert not done
    clock.ms += 60_000
    changed = await writing
    assert changed is not None
    assert changed.importance == 1.0
    assert await kept(other) == shape(replace(old, superseded_by=new.id), new)


async def test_commits_of_three_routers_beside_other_writes_all_count(
    store: MilvusStore, other: MilvusStore, opened: Opened, make: RecordFactory
) -> None:
    record = make.make(turn_index=0)
    await store.create([record])
    routers = (store, other, await opened())
    edits = [OwnerEdits(each, rng=Random(number)) for number, each in enumerate(routers)]

    async def count(number: int) -> None:
        side = number % 3

        async def plan() -> Plan[None]:
            (held,) = await routers[side].get(ALICE, [record.id], now=LATER)
            return Plan(None, put=[replace(held, turn_index=(held.turn_index or 0) + 1), make.make(f"added {number}")])

        await edits[side].apply("alice", plan)

    async def touch() -> None:
        for _ in range(5):
            await other.touch(ALICE, [record.id], now=LATER)

    await asyncio.gather(*(count(number) for number in range(9)), touch())
    (found,) = await store.get(ALICE, [record.id], now=LATER)
    assert (found.turn_index, found.access_count) == (9, 5)
    texts = [content for content, _ in (await kept(store)).values()]
    assert sorted(texts) == sorted([record.content, *(f"added {number}" for number in range(9))])

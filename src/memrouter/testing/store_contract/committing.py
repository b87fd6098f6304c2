# ruff: noqa: D102 - the name of a test is its claim
"""``commit``: at the generation that it was planned at or not at all, whole or not at all."""

import asyncio
import contextlib
from dataclasses import replace as with_changes
from random import Random

import pytest
from msgspec.structs import replace

from memrouter.errors import MemoryConflict, SchemaMismatch
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, Scope, unit
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Change, ListQuery, StoreQuery
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, generation, ids, listed, listed_ids
from memrouter.testing.store_contract.merging import copies, found
from memrouter.testing.store_contract.scanning import scanned

CALLERS = 5
MANY = 300
EVERYWHERE = Scope("alice", None)


async def at_once(
    store: MemoryStore, *put: MemoryRecord, remove: frozenset[str] = frozenset(), user_id: str = "alice"
) -> int | None:
    """Commit a change at the present generation."""
    change = Change(user_id, after=await generation(store, Scope(user_id)), put=put, remove=remove)
    return await store.commit(change)


class CommittingContract(ContractBase):
    """What holds for changes that were planned by what is kept."""

    async def test_a_change_is_made_whole_and_gives_the_new_generation(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        kept, changed, removed = make.many(3)
        await store.create([kept, changed, removed])
        before = await generation(store)
        changed, added = replace(changed, importance=0.125, superseded_by="m9"), make.make()
        given = await store.commit(Change("alice", after=before, put=[changed, added], remove=frozenset({removed.id})))
        assert given == await generation(store)
        assert given is not None
        assert given > before
        assert copies(await scanned(store)) == copies([kept, changed, added])
        assert await listed_ids(store) == [added.id, kept.id]

    async def test_the_first_memories_of_a_user_are_committed_at_zero(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make()
        assert await store.commit(Change("alice", after=0, put=[record])) == await generation(store)
        assert copies(await scanned(store)) == copies([record])
        assert await generation(store) > 0

    async def test_a_change_that_was_planned_before_another_write_is_not_made(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        held, offered = make.make(), make.make()
        await store.create([held])
        planned = await generation(store)
        await store.create([make.make()])
        now, everything = await generation(store), copies(await scanned(store))
        change = Change("alice", after=planned, put=[offered], remove=frozenset({held.id}))
        for after in (planned, now + 1, 0, -1):
            assert await store.commit(with_changes(change, after=after)) is None
        assert copies(await scanned(store)) == everything
        assert await generation(store) == now

    async def test_a_change_of_nothing_outdates_what_was_planned(self, store: MemoryStore, make: RecordFactory) -> None:
        for user_id, held in (("alice", make.many(1)), ("carol", [])):
            await store.create(held)
            before = await generation(store, Scope(user_id))
            given = await store.commit(Change(user_id, after=before))
            assert given == await generation(store, Scope(user_id))
            assert given != before
            assert await store.commit(Change(user_id, after=before, put=[make.make(user_id=user_id)])) is None

    async def test_generations_of_others_stay(self, store: MemoryStore, make: RecordFactory) -> None:
        await store.create([make.make(), make.make(user_id="bob")])
        before = await generation(store, Scope("bob"))
        await at_once(store, make.make())
        assert await generation(store, Scope("bob")) == before

    async def test_a_memory_that_is_put_keeps_nothing_of_the_one_before(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        full = make.make(
            conversation_id="c1",
            turn_index=3,
            role="user",
            superseded_by="m9",
            expires_at=LATER + 9,
            quarantine="instruction",
            pinned=True,
            links=("m3",),
            history=(HistoryEntry(NOW, Event.CREATED, Actor.ROUTER),),
        )
        bare = replace(make.make(project_id="apollo"), id=full.id, created_at=full.created_at - 5)
        await store.create([full])
        for record in (bare, full, bare):
            assert await at_once(store, record) is not None
            assert [plain(read) for read in await store.get(EVERYWHERE, [full.id], now=LATER)] == [plain(record)]
        assert await listed_ids(store, Scope("alice", "apollo")) == [full.id]
        assert await listed_ids(store) == []

    async def test_a_memory_that_is_put_is_found_by_what_it_now_holds(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record, others = make.make("giraffe"), make.many(3)
        await store.create([record, *others])
        walrus = replace(record, content="walrus", embedding=make.vector("walrus"))
        for put in (walrus, replace(walrus, importance=1.0)):
            await at_once(store, put)
            for limit in (0, 100):
                near = await store.search(ALICE, StoreQuery(make.vector("walrus"), k=1, now=LATER, scan_limit=limit))
                assert (near.records or ())[0].id == record.id
                assert (near.scores or ())[0] == pytest.approx(1.0, abs=1e-6)
            for word, expected in (("walrus", [record.id]), ("giraffe", [])):
                assert await found(store, StoreQuery(vector=None, words=(word,), k=5, now=LATER)) == expected
        again, same = make.make("giraffe"), make.make("walrus")
        assert await store.create([again, same], unique_content=True) == [again.id, record.id]

    async def test_the_greater_access_count_and_time_stay(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make(access_count=3, last_accessed=NOW + 50)
        await store.create([record])
        for given, expected in (
            ((0, None), (3, NOW + 50)),
            ((5, NOW), (5, NOW + 50)),
            ((1, NOW + 90), (5, NOW + 90)),
            ((6, None), (6, NOW + 90)),
        ):
            await at_once(store, replace(record, access_count=given[0], last_accessed=given[1]))
            (read,) = await store.get(ALICE, [record.id], now=LATER)
            assert (read.access_count, read.last_accessed) == expected

    async def test_an_access_that_was_counted_meanwhile_is_not_lost(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make()
        await store.create([record])
        planned = await generation(store)
        await asyncio.gather(*(store.touch(ALICE, [record.id], now=LATER) for _ in range(4)))
        assert await store.commit(Change("alice", after=planned, put=[replace(record, importance=1.0)])) is not None
        (read,) = await store.get(ALICE, [record.id], now=LATER)
        assert (read.importance, read.access_count, read.last_accessed) == (1.0, 4, LATER)
        assert await store.touch(ALICE, [record.id], now=LATER + 1) == 1
        (read,) = await store.get(ALICE, [record.id], now=LATER)
        assert (read.access_count, read.last_accessed) == (5, LATER + 1)

    async def test_what_is_removed_is_gone_and_its_id_and_content_are_free(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = [make.make("walrus", access_count=2), make.make("walrus", project_id="apollo", superseded_by="m9")]
        hers = make.make("walrus", user_id="bob")
        await store.create([*records, hers])
        await at_once(store, remove=frozenset({*ids(records), hers.id, "absent", "\0"}))
        assert copies(await scanned(store)) == copies([hers])
        for limit in (0, 100):
            query = StoreQuery(make.vector("walrus"), words=("walrus",), k=9, now=LATER, scan_limit=limit)
            assert await found(store, query) == []
        assert await at_once(store, remove=frozenset({"absent"})) == await generation(store)
        again = make.make("walrus", id=records[0].id)
        assert await store.create([again], unique_content=True) == [again.id]
        assert [plain(read) for read in await listed(store)] == [plain(again)]

    async def test_an_id_of_another_owner_is_a_conflict_and_nothing_is_made_or_a_memory_apart(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        held, hers, added = make.make("held"), make.make("hers", user_id="bob"), make.make("added")
        await store.create([held, hers])
        before = await generation(store)
        expected = [held]
        with contextlib.suppress(MemoryConflict):
            await at_once(store, added, replace(added, id=hers.id), remove=frozenset({held.id}))
            expected = [added, replace(added, id=hers.id)]
        assert [plain(read) for read in await listed(store, Scope("bob"))] == [plain(hers)]
        assert sorted(await listed_ids(store)) == sorted(ids(expected))
        assert (await generation(store) == before) is (expected == [held])

    async def test_an_id_twice_is_a_conflict_and_nothing_is_made(self, store: MemoryStore, make: RecordFactory) -> None:
        held, record = make.make(), make.make("one")
        await store.create([held])
        before = await generation(store)
        with pytest.raises(MemoryConflict) as caught:
            await at_once(store, record, make.make("two", id=record.id), remove=frozenset({held.id}))
        assert set(caught.value.ids) == {record.id}
        assert copies(await scanned(store)) == copies([held])
        assert await generation(store) == before

    async def test_a_vector_that_does_not_fit_is_refused_and_nothing_is_made(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        held, bad = make.make(), make.make()
        await store.create([held])
        before = await generation(store)
        for fault in (
            replace(bad, embedding=unit(bad.embedding[:-1])),
            replace(bad, embedding=bad.embedding * 2),
            replace(bad, embedding_model="another-model"),
        ):
            with pytest.raises(SchemaMismatch):
                await at_once(store, make.make(), fault, remove=frozenset({held.id}))
        assert copies(await scanned(store)) == copies([held])
        assert await generation(store) == before

    async def test_many_memories_are_changed_at_once(self, store: MemoryStore, make: RecordFactory) -> None:
        removed, changed, added = make.many(MANY), make.many(MANY), make.many(MANY)
        await store.create([*removed, *changed])
        changed = [replace(record, superseded_by="m9") for record in changed]
        assert await at_once(store, *changed, *added, remove=frozenset(ids(removed))) is not None
        assert copies(await scanned(store)) == copies([*changed, *added])

    async def test_one_of_several_changes_planned_at_one_generation_is_made(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        held = make.make("held")
        await store.create([held])
        planned = await generation(store)
        offered = make.many(CALLERS)
        given = await asyncio.gather(
            *(
                store.commit(Change("alice", after=planned, put=[record], remove=frozenset({held.id})))
                for record in offered
            )
        )
        winners = [record for record, number in zip(offered, given, strict=True) if number is not None]
        assert len(winners) == 1
        assert copies(await scanned(store)) == copies(winners)
        assert await generation(store) == max(number for number in given if number is not None)

    async def test_changes_through_two_instances_all_count(
        self, store: MemoryStore, neighbour: MemoryStore, make: RecordFactory
    ) -> None:
        """Each reads what is kept and puts a larger number in its place: none of them is lost or counted twice."""
        record = make.make(turn_index=0)
        await store.create([record])
        edits = [OwnerEdits(each, rng=Random(number)) for number, each in enumerate((store, neighbour))]

        async def count(side: int) -> None:
            async def plan() -> Plan[None]:
                (held,) = await (store, neighbour)[side].get(ALICE, [record.id], now=LATER)
                return Plan(None, put=[replace(held, turn_index=(held.turn_index or 0) + 1)])

            await edits[side].apply("alice", plan)

        await asyncio.gather(*(count(number % 2) for number in range(CALLERS)))
        (read,) = await store.get(ALICE, [record.id], now=LATER)
        assert read.turn_index == CALLERS

    async def test_a_change_and_other_writes_that_meet_lose_nothing(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        planned, records = await generation(store), make.many(CALLERS)
        offered = make.make()
        given, *_ = await asyncio.gather(
            store.commit(Change("alice", after=planned, put=[offered])), *(store.create([each]) for each in records)
        )
        made = [] if given is None else [offered]
        assert copies(await scanned(store)) == copies([*made, *records])

    async def test_no_reader_sees_a_part_of_a_change(self, store: MemoryStore, make: RecordFactory) -> None:
        """Two memories take turns in being shown: every read sees one of them."""
        one, two = make.make("walrus"), make.make("walrus", superseded_by="m9")
        await store.create([one, two])
        done = asyncio.Event()

        async def swap() -> None:
            for number in range(10):
                hidden = (None, "m9") if number % 2 else ("m9", None)
                put = [replace(one, superseded_by=hidden[0]), replace(two, superseded_by=hidden[1])]
                assert await at_once(store, *put) is not None
            done.set()

        async def read() -> int:
            reads = 0
            while not done.is_set() or not reads:
                page = await store.list(ALICE, ListQuery(limit=9, now=LATER))
                assert (len(page.records), page.total) == (1, 1)
                for limit in (0, 9):
                    query = StoreQuery(make.vector("walrus"), words=("walrus",), k=9, now=LATER, scan_limit=limit)
                    assert len(await found(store, query)) == 1
                assert (await store.stats(ALICE, now=LATER)).total == 1
                both = await store.get(ALICE, [one.id, two.id], now=LATER)
                assert [record.superseded_by for record in both].count(None) == 1
                reads += 1
            return reads

        swapping = asyncio.create_task(swap())
        assert await read()
        await swapping

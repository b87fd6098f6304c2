# ruff: noqa: D102 - the name of a test is its claim
"""Many callers at once: uniqueness, no lost writes, no resurrection."""

import asyncio
from collections import Counter

from memrouter.models.memory import Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, StoreQuery
from memrouter.testing.edits import edit
from memrouter.testing.records import RecordFactory
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, generation, ids, listed_ids

CALLERS = 50


class RaceContract(ContractBase):
    """What holds when calls overlap."""

    async def test_many_unique_creates_of_one_content_store_it_once(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = [make.make("likes tea") for _ in range(CALLERS)]
        kept = await asyncio.gather(*(store.create([record], unique_content=True) for record in records))
        assert len({memory_id for (memory_id,) in kept}) == 1
        assert await listed_ids(store) == kept[0]

    async def test_many_creates_lose_nothing(self, store: MemoryStore, make: RecordFactory) -> None:
        users = [f"user{number % 5}" for number in range(CALLERS)]
        batches = [make.many(3, user_id=user) for user in users]
        await asyncio.gather(*(store.create(batch) for batch in batches))
        for user in set(users):
            expected = {record.id for batch in batches for record in batch if record.user_id == user}
            assert set(await listed_ids(store, Scope(user))) == expected

    async def test_one_of_many_creates_of_the_same_id_wins(self, store: MemoryStore, make: RecordFactory) -> None:
        records = [make.make(f"text {number}", id="m1") for number in range(CALLERS)]
        results = await asyncio.gather(*(store.create([record]) for record in records), return_exceptions=True)
        outcomes = Counter(type(result).__name__ for result in results)
        assert outcomes == {"list": 1, "MemoryConflict": CALLERS - 1}
        assert await listed_ids(store) == ["m1"]

    async def test_a_failing_create_does_not_disturb_those_beside_it(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        taken = make.make()
        await store.create([taken])
        good = make.many(CALLERS)
        calls = [store.create([record]) for record in good]
        clashing = [store.create([make.make(), make.make(id=taken.id)]) for _ in range(5)]
        results = await asyncio.gather(*calls[:25], *clashing, *calls[25:], return_exceptions=True)
        assert sum(isinstance(result, Exception) for result in results) == 5
        assert set(await listed_ids(store)) == {taken.id, *ids(good)}

    async def test_a_change_never_brings_a_deleted_memory_back(self, store: MemoryStore, make: RecordFactory) -> None:
        records = make.many(10)
        await store.create(records)

        async def delete(memory_id: str) -> int:
            return await store.delete(ALICE, Filter(ids=frozenset({memory_id})))

        for record in records:
            calls = [edit(store, ALICE, record.id, now=LATER, content="walrus") for _ in range(4)]
            touches = [store.touch(ALICE, [record.id], now=LATER) for _ in range(4)]
            await asyncio.gather(*calls[:2], *touches[:2], delete(record.id), *touches[2:], *calls[2:])
            assert await store.get(ALICE, [record.id], now=LATER) == []
        page = await store.list(ALICE, ListQuery(limit=1, now=LATER, include_superseded=True))
        assert page.total == 0
        for query in (
            StoreQuery(vector=None, words=("walrus", "fact"), k=9, now=LATER),
            StoreQuery(vector=make.vector("walrus"), k=9, now=LATER),
        ):
            assert list((await store.search(ALICE, query)).records or ()) == []

    async def test_concurrent_touches_are_all_counted(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make()
        await store.create([record])
        counted = await asyncio.gather(
            *(store.touch(ALICE, [record.id], now=LATER + number) for number in range(CALLERS))
        )
        assert sum(counted) == CALLERS
        (found,) = await store.get(ALICE, [record.id], now=LATER)
        assert (found.access_count, found.last_accessed) == (CALLERS, LATER + CALLERS - 1)

    async def test_concurrent_deletes_count_each_memory_once(self, store: MemoryStore, make: RecordFactory) -> None:
        await store.create(make.many(30))
        assert sum(await asyncio.gather(*(store.delete(ALICE, EVERYTHING) for _ in range(10)))) == 30

    async def test_an_answer_fits_its_generation(self, store: MemoryStore, make: RecordFactory) -> None:
        """A search beside writers sees one state: its records and its generation belong together."""
        writes = [store.create([make.make()]) for _ in range(30)]
        searches = [store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=99)) for _ in range(30)]
        _, answers = await asyncio.gather(asyncio.gather(*writes), asyncio.gather(*searches))
        sizes: dict[int, int] = {}
        for answer in answers:
            size = len(answer.records or ())
            assert sizes.setdefault(answer.generation, size) == size
        assert await generation(store) >= max(sizes)
        assert len(await listed_ids(store)) == 30

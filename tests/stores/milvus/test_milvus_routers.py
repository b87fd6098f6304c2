"""Two routers on one collection: what one has written the other sees, and neither undoes the other's work."""

import asyncio

import pytest

from memrouter.models.memory import Scope
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, MergeMode, StoreQuery
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain

ALICE = Scope("alice")
LATER = NOW + 1_000_000


async def contents(store: MilvusStore) -> list[str]:
    page = await store.list(ALICE, ListQuery(limit=1000, now=LATER))
    assert page.total == len(page.records)
    return [record.content for record in page.records]


async def test_a_write_that_returned_is_seen_by_the_next_read_of_the_other_router(
    store: MilvusStore, other: MilvusStore, make: RecordFactory
) -> None:
    for number in range(10):
        record = make.make(f"fact {number}")
        await store.create([record])
        query = StoreQuery(vector=record.embedding, k=1, now=LATER)
        assert [found.id for found in (await other.search(ALICE, query)).records or ()] == [record.id]
        assert [plain(found) for found in await other.get(ALICE, [record.id], now=LATER)] == [plain(record)]
        changed = await edit(store, ALICE, record.id, now=LATER, importance=number / 100)
        (found,) = await other.get(ALICE, [record.id], now=LATER)
        assert changed is not None
        assert plain(found) == plain(changed)
        await store.touch(ALICE, [record.id], now=LATER)
        (found,) = await other.get(ALICE, [record.id], now=LATER)
        assert (found.access_count, found.last_accessed) == (1, LATER)
        assert await store.delete(ALICE, Filter(ids=frozenset({record.id}))) == 1
        assert await other.get(ALICE, [record.id], now=LATER) == []


async def test_a_kept_answer_does_not_outlive_a_write_of_the_other_router(
    store: MilvusStore, other: MilvusStore, make: RecordFactory
) -> None:
    await store.create([make.make()])
    for number in range(10):
        answer = await other.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=99))
        assert len(answer.records or ()) == number + 1
        again = StoreQuery(vector=None, k=1, now=LATER, scan_limit=99, known_generation=answer.generation)
        assert (await other.search(ALICE, again)).unchanged
        await store.create([make.make()])
        assert not (await other.search(ALICE, again)).unchanged


async def test_writes_of_two_routers_at_once_are_all_kept_and_all_told(
    store: MilvusStore, other: MilvusStore, make: RecordFactory
) -> None:
    records = make.many(30)
    answers = []

    async def write(router: MilvusStore, number: int) -> None:
        await router.create([records[number]])
        answers.append(await router.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=99)))

    await asyncio.gather(*(write((store, other)[number % 2], number) for number in range(30)))
    sizes: dict[int, int] = {}
    for answer in answers:
        size = len(answer.records or ())
        assert sizes.setdefault(answer.generation, size) == size
    for router in (store, other):
        final = await router.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=99))
        assert {record.id for record in final.records or ()} == {record.id for record in records}
        stale = [generation for generation, size in sizes.items() if size < 30]
        assert final.generation not in stale


async def test_one_content_is_kept_once_by_two_routers_at_once(
    store: MilvusStore, other: MilvusStore, make: RecordFactory
) -> None:
    for number in range(5):
        text = f"likes tea {number}"
        await asyncio.gather(
            store.create([make.make(text)], unique_content=True), other.create([make.make(text)], unique_content=True)
        )
        assert (await contents(store)).count(text) == 1
        assert await contents(other) == await contents(store)


async def test_a_change_by_one_router_never_brings_back_what_the_other_deletes(
    store: MilvusStore, other: MilvusStore, make: RecordFactory
) -> None:
    for _ in range(5):
        record = make.make()
        await store.create([record])
        await asyncio.gather(
            *(edit(other, ALICE, record.id, now=LATER, importance=1.0) for _ in range(3)),
            store.delete(ALICE, EVERYTHING),
            other.touch(ALICE, [record.id], now=LATER),
            edit(other, ALICE, record.id, now=LATER, importance=1.0),
        )
        for router in (store, other):
            assert await router.get(ALICE, [record.id], now=LATER) == []
            assert await router.count("alice") == 0


async def test_a_replaced_memory_starts_with_its_own_counts(
    store: MilvusStore, other: MilvusStore, make: RecordFactory
) -> None:
    record = make.make(access_count=3, last_accessed=NOW)
    await store.create([record])
    await store.touch(ALICE, [record.id], now=LATER)
    await other.merge([record], mode=MergeMode.REPLACE)
    (found,) = await store.get(ALICE, [record.id], now=LATER)
    assert plain(found) == plain(record)


@pytest.mark.parametrize("words", [(), ("walrus",)])
async def test_a_large_owner_is_searched_exactly_while_the_other_router_writes(
    store: MilvusStore, other: MilvusStore, make: RecordFactory, words: tuple[str, ...]
) -> None:
    records = make.many(60)
    await store.create(records)
    writes = asyncio.gather(*(other.create([make.make(f"noise {number}")]) for number in range(5)))
    query = StoreQuery(vector=records[7].embedding, words=words, k=3, now=LATER)
    for _ in range(10):
        assert next(iter((await store.search(ALICE, query)).records or ())).id == records[7].id
    await writes

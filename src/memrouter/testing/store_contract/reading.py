# ruff: noqa: D102 - the name of a test is its claim
"""``get``, ``list``, ``stats``, ``check``, ``capabilities`` and ``aclose``."""

import random

import pytest

from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryType, Scope, Source
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Change, Cursor, Filter, ListQuery, StoreQuery
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, holds, ids, listed_ids


async def paged(store: MemoryStore, query: ListQuery) -> list[str]:
    """Return the ids of all pages, checking each page's size and total."""
    found: list[str] = []
    totals = set()
    after: Cursor | None = query.after
    while True:
        page = await store.list(
            ALICE,
            ListQuery(
                limit=query.limit,
                now=query.now,
                where=query.where,
                after=after,
                include_superseded=query.include_superseded,
            ),
        )
        found += ids(list(page.records))
        totals.add(page.total)
        assert len(page.records) <= query.limit
        if page.next is None:
            assert totals == {len(found)}
            return found
        assert len(page.records) == query.limit
        after = Cursor.decode(page.next.encode())


class ReadingContract(ContractBase):
    """What holds for reads that are no searches."""

    async def test_an_empty_store_has_nothing(self, store: MemoryStore) -> None:
        page = await store.list(ALICE, ListQuery(limit=5, now=LATER))
        assert (list(page.records), page.total, page.next) == ([], 0, None)
        assert await store.get(ALICE, ["m1"], now=LATER) == []
        stats = await store.stats(ALICE, now=LATER)
        assert (stats.total, stats.by_type, stats.by_source, stats.content_bytes) == (0, {}, {}, 0)
        assert (stats.oldest, stats.newest) == (None, None)

    async def test_get_keeps_the_order_of_the_ids(self, store: MemoryStore, make: RecordFactory) -> None:
        records = make.many(6)
        await store.create(records)
        wanted = [records[index].id for index in (3, 0, 5, 1)]
        assert ids(await store.get(ALICE, [wanted[0], "absent", *wanted[1:]], now=LATER)) == wanted

    async def test_get_takes_any_number_of_ids(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make()
        await store.create([record])
        assert await store.get(ALICE, [], now=LATER) == []
        absent = [f"absent{number}" for number in range(5_000)]
        assert ids(await store.get(ALICE, [*absent, record.id], now=LATER)) == [record.id]

    @pytest.mark.parametrize("strange", ["", "\0", "m000000000001\0", "\ud800", "m*", "M000000000001", "x" * 5000, "'"])
    async def test_an_id_that_no_memory_can_have_is_absent(
        self, store: MemoryStore, make: RecordFactory, strange: str
    ) -> None:
        record = make.make(id="m000000000001")
        await store.create([record])
        assert await store.get(ALICE, [strange], now=LATER) == []
        assert await store.touch(ALICE, [strange], now=LATER) == 0
        assert await store.delete(ALICE, Filter(ids=frozenset({strange}))) == 0
        assert await listed_ids(store) == [record.id]

    async def test_get_returns_superseded_memories_but_not_expired_ones(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        superseded = make.make(superseded_by="m9")
        expired = make.make(expires_at=LATER)
        lasting = make.make(expires_at=LATER + 1)
        await store.create([superseded, expired, lasting])
        wanted = [superseded.id, expired.id, lasting.id]
        assert ids(await store.get(ALICE, wanted, now=LATER)) == [superseded.id, lasting.id]

    async def test_lists_show_visible_memories_only(self, store: MemoryStore, make: RecordFactory) -> None:
        plain_one, superseded = make.make(), make.make(superseded_by="m9")
        expired, lasting = make.make(expires_at=LATER), make.make(expires_at=LATER + 1)
        dead = make.make(superseded_by="m9", expires_at=LATER)
        await store.create([plain_one, superseded, expired, lasting, dead])
        assert await paged(store, ListQuery(limit=10, now=LATER)) == [lasting.id, plain_one.id]
        with_superseded = ListQuery(limit=10, now=LATER, include_superseded=True)
        assert await paged(store, with_superseded) == [lasting.id, superseded.id, plain_one.id]

    @pytest.mark.parametrize("limit", [1, 2, 7, 29, 30, 31])
    async def test_pages_have_each_memory_once_even_where_times_are_equal(
        self, store: MemoryStore, make: RecordFactory, limit: int
    ) -> None:
        records = [make.make(created_at=NOW + number // 8) for number in range(30)]
        random.Random(3).shuffle(records)
        await store.create(records)
        newest_first = sorted(records, key=lambda record: (record.created_at, record.id), reverse=True)
        assert await paged(store, ListQuery(limit=limit, now=LATER)) == ids(newest_first)

    async def test_a_page_goes_on_where_it_ended_though_that_memory_was_deleted(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = make.many(5)
        await store.create(records)
        page = await store.list(ALICE, ListQuery(limit=2, now=LATER))
        await store.delete(ALICE, Filter(ids=frozenset({page.records[-1].id})))
        rest = await store.list(ALICE, ListQuery(limit=9, now=LATER, after=page.next))
        assert ids(list(rest.records)) == [records[2].id, records[1].id, records[0].id]
        assert rest.total == 4

    async def test_each_part_of_a_filter_must_hold(self, store: MemoryStore, make: RecordFactory) -> None:
        records = [
            make.make(type=type_, source=source, conversation_id=conversation)
            for type_ in MemoryType
            for source in (Source.API, Source.IMPORT)
            for conversation in (None, "c1", "C1")
        ]
        await store.create(records)
        semantic = frozenset({MemoryType.SEMANTIC})
        some = frozenset(record.id for record in records[::2])
        for where in (
            EVERYTHING,
            Filter(types=semantic),
            Filter(types=frozenset()),
            Filter(sources=frozenset({Source.API, Source.CONVERSATION})),
            Filter(sources=frozenset()),
            Filter(conversation_id="c1"),
            Filter(conversation_id=""),
            Filter(ids=some),
            Filter(ids=frozenset()),
            Filter(ids=some, types=semantic, sources=frozenset({Source.IMPORT}), conversation_id="C1"),
        ):
            expected = [record.id for record in reversed(records) if holds(where, record)]
            assert await paged(store, ListQuery(limit=4, now=LATER, where=where)) == expected
            answer = await store.search(ALICE, StoreQuery(vector=None, k=5, now=LATER, where=where, scan_limit=100))
            assert answer.records is not None
            assert ids(list(answer.records)) == expected

    async def test_stats_count_visible_memories(self, store: MemoryStore, make: RecordFactory) -> None:
        await store.create(
            [
                make.make("é", type=MemoryType.SEMANTIC, source=Source.API, created_at=NOW + 50),
                make.make("four", type=MemoryType.SEMANTIC, source=Source.IMPORT, created_at=NOW + 90),
                make.make("🧠", source=Source.API, project_id="apollo", created_at=NOW + 10),
                make.make("superseded", superseded_by="m1", created_at=NOW + 1),
                make.make("expired", expires_at=LATER, created_at=NOW + 99),
                make.make("hers", user_id="bob"),
            ]
        )
        stats = await store.stats(ALICE, now=LATER)
        assert stats.total == 2
        assert stats.by_type == {MemoryType.SEMANTIC: 2}
        assert stats.by_source == {Source.API: 1, Source.IMPORT: 1}
        assert stats.content_bytes == len("é".encode()) + 4
        assert (stats.oldest, stats.newest) == (NOW + 50, NOW + 90)
        everywhere = await store.stats(Scope("alice", None), now=LATER)
        assert everywhere.by_type == {MemoryType.SEMANTIC: 2, MemoryType.EPISODIC: 1}
        assert (everywhere.total, everywhere.content_bytes, everywhere.oldest) == (3, 2 + 4 + 4, NOW + 10)

    async def test_check_passes_on_a_store_that_serves_and_changes_nothing(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make()
        await store.create([record])
        await store.check()
        await store.check()
        assert [plain(found) for found in await store.get(ALICE, [record.id], now=LATER)] == [plain(record)]
        assert (await store.stats(ALICE, now=LATER)).total == 1

    async def test_a_closed_store_is_unavailable_and_closing_again_does_nothing(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make()
        await store.create([record])
        await store.aclose()
        await store.aclose()
        for call in (
            store.create([make.make()]),
            store.get(ALICE, [record.id], now=LATER),
            store.list(ALICE, ListQuery(limit=1, now=LATER)),
            store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER)),
            store.touch(ALICE, [record.id], now=LATER),
            store.delete(ALICE, EVERYTHING),
            store.stats(ALICE, now=LATER),
            store.commit(Change("alice", after=1)),
            store.state.get("space", "key", now=LATER),
            store.state.put("space", "key", b"", now=LATER),
            store.check(),
        ):
            with pytest.raises(StoreUnavailable):
                await call

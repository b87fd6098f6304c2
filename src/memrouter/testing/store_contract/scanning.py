# ruff: noqa: D102 - the name of a test is its claim
"""``scan`` and ``count``: everything once, in order, whoever writes meanwhile."""

from collections.abc import Sequence
from operator import attrgetter

import pytest
from msgspec.structs import replace

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, owner_key
from memrouter.stores.base import MemoryStore
from memrouter.stores.position import Position
from memrouter.stores.query import EVERYTHING, Filter, ScanPage, ScanQuery
from memrouter.testing.edits import edit
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, holds, ids

_OLDEST_FIRST = attrgetter("created_at", "id")


async def pages_of(store: MemoryStore, query: ScanQuery) -> list[ScanPage]:
    """Return all pages of a scan."""
    return [page async for page in store.scan(query)]


async def scanned(store: MemoryStore, query: ScanQuery | None = None) -> list[MemoryRecord]:
    """Return all memories of a scan."""
    return together(await pages_of(store, query or ScanQuery()))


def together(pages: Sequence[ScanPage]) -> list[MemoryRecord]:
    """Return the memories of several pages."""
    return [record for page in pages for record in page.records]


def in_scan_order(records: Sequence[MemoryRecord]) -> list[MemoryRecord]:
    """Return memories in the order in which a scan has to give them."""
    return sorted(records, key=lambda record: (owner_key(record.user_id), *_OLDEST_FIRST(record)))


def everybodys(make: RecordFactory) -> list[MemoryRecord]:
    """Return memories of several users, hidden ones and some of the same millisecond among them."""
    records = [make.make(user_id=f"user{number % 4}", project_id=f"project{number % 3}") for number in range(13)]
    records += [make.make(user_id="user1", created_at=NOW) for _ in range(4)]
    records += [
        make.make(user_id="user2", superseded_by="m9"),
        make.make(user_id="user2", expires_at=1),
        make.make(user_id="user3", access_count=7, last_accessed=NOW + 1),
        make.make(user_id="user4", superseded_by="m9", expires_at=1),
    ]
    return records


class ScanningContract(ContractBase):
    """What holds for reading everything."""

    async def test_an_empty_store_has_no_page(self, store: MemoryStore) -> None:
        assert await pages_of(store, ScanQuery()) == []
        assert await pages_of(store, ScanQuery(user_id="alice")) == []

    @pytest.mark.parametrize("page", [1, 3, 500])
    async def test_a_scan_gives_everything_once_user_after_user_oldest_first(
        self, store: MemoryStore, make: RecordFactory, page: int
    ) -> None:
        records = everybodys(make)
        await store.create(records)
        pages = await pages_of(store, ScanQuery(page=page))
        assert all(found.records for found in pages)
        expected = [plain(record) for record in in_scan_order(records)]
        assert [plain(record) for record in together(pages)] == expected

    async def test_a_scan_can_be_taken_up_behind_every_page_by_another_instance(
        self, store: MemoryStore, neighbour: MemoryStore, make: RecordFactory
    ) -> None:
        await store.create(everybodys(make))
        pages = await pages_of(store, ScanQuery(page=2))
        assert len(pages) > 1
        for number, page in enumerate(pages, start=1):
            rest = await scanned(neighbour, ScanQuery(page=3, after=page.position))
            assert ids(rest) == ids(together(pages[number:]))

    async def test_a_scan_goes_on_where_the_memory_it_stood_on_is_gone(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = [make.make(created_at=NOW) for _ in range(9)]
        await store.create(records)
        page = await anext(store.scan(ScanQuery(page=4)))
        seen = ids(list(page.records))
        for gone in (seen[-1:], seen):
            await store.delete(ALICE, Filter(ids=frozenset(gone)))
            rest = await scanned(store, ScanQuery(page=2, after=page.position))
            assert ids(rest) == ids(records[len(seen) :])
        await store.create([replace(records[len(seen) - 1], created_at=LATER)])
        rest = await scanned(store, ScanQuery(page=2, after=page.position))
        assert ids(rest) == [*ids(records[len(seen) :]), seen[-1]]

    async def test_what_stands_untouched_comes_once_while_others_write(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        untouched = [make.make(user_id=f"user{number % 3}", created_at=NOW + number // 2) for number in range(18)]
        passing = [make.make(user_id=f"user{number % 3}", created_at=NOW + number // 2) for number in range(18)]
        await store.create([*untouched, *passing])
        found: list[MemoryRecord] = []
        async for page in store.scan(ScanQuery(page=4)):
            found += page.records
            gone = passing.pop()
            await store.delete(Scope(gone.user_id), Filter(ids=frozenset({gone.id})))
            changed = passing[0]
            await edit(store, Scope(changed.user_id), changed.id, now=LATER, importance=0.1)
            await store.touch(Scope(changed.user_id), [changed.id], now=LATER)
            await store.create([make.make(user_id=f"user{number}", created_at=NOW) for number in range(5)])
        lasting = set(ids(untouched))
        assert ids([record for record in found if record.id in lasting]) == ids(in_scan_order(untouched))
        assert len(set(ids(found))) == len(found)

    async def test_a_scan_of_one_user_gives_nobody_elses(self, store: MemoryStore, make: RecordFactory) -> None:
        owned = {user: make.make(user_id=user) for user in HOSTILE_IDENTITIES}
        await store.create(list(owned.values()))
        for user, record in owned.items():
            assert ids(await scanned(store, ScanQuery(user_id=user))) == [record.id]
            assert await store.count(user) == 1
        assert ids(await scanned(store)) == ids(in_scan_order(list(owned.values())))
        assert await scanned(store, ScanQuery(user_id="nobody")) == []

    async def test_a_scan_of_one_user_can_be_taken_up(self, store: MemoryStore, make: RecordFactory) -> None:
        records = everybodys(make)
        await store.create(records)
        mine = [record for record in in_scan_order(records) if record.user_id == "user1"]
        pages = await pages_of(store, ScanQuery(user_id="user1", page=3))
        for number, page in enumerate(pages, start=1):
            rest = await scanned(store, ScanQuery(user_id="user1", page=3, after=page.position))
            assert ids(rest) == ids(together(pages[number:]))
        assert ids(together(pages)) == ids(mine)

    async def test_a_scan_gives_what_its_filter_asks_for(self, store: MemoryStore, make: RecordFactory) -> None:
        kinds = [
            make.make(user_id=user, type=kind, source=source, conversation_id=conversation)
            for user in ("alice", "bob")
            for kind in MemoryType
            for source in (Source.API, Source.IMPORT)
            for conversation in (None, "c1")
        ]
        await store.create(kinds)
        one, two = kinds[0].id, kinds[-1].id
        for where in (
            EVERYTHING,
            Filter(types=frozenset({MemoryType.SEMANTIC})),
            Filter(sources=frozenset({Source.IMPORT})),
            Filter(conversation_id="c1"),
            Filter(ids=frozenset({one, two, "absent"})),
            Filter(types=frozenset({MemoryType.EPISODIC}), sources=frozenset({Source.API}), conversation_id="c1"),
            Filter(ids=frozenset()),
            Filter(types=frozenset()),
            Filter(sources=frozenset()),
        ):
            expected = [record for record in in_scan_order(kinds) if holds(where, record)]
            for page in (1, 5, 500):
                assert ids(await scanned(store, ScanQuery(where=where, page=page))) == ids(expected)

    async def test_a_scan_gives_accesses_and_changes_as_they_now_are(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("tea", access_count=2, last_accessed=NOW)
        await store.create([record])
        await store.touch(ALICE, [record.id], now=LATER)
        await edit(store, ALICE, record.id, now=LATER, superseded_by="m2")
        (found,) = await scanned(store)
        changed = {"access_count": 3, "last_accessed": LATER, "updated_at": LATER, "superseded_by": "m2"}
        assert plain(found) == plain(record) | changed

    async def test_a_position_that_no_such_store_gave_out_is_refused(self, store: MemoryStore) -> None:
        elsewhere = Position(owner_key("alice"), NOW, "m1").encode(backend="elsewhere")
        for text in ("", "?", "ü", "AAAA", elsewhere, f"{elsewhere}=", "0" * 100_000):
            with pytest.raises(InvalidRequest):
                await pages_of(store, ScanQuery(after=text))

    async def test_the_count_is_of_everything_that_is_kept(self, store: MemoryStore, make: RecordFactory) -> None:
        assert await store.count(None) == await store.count("alice") == 0
        records = everybodys(make)
        await store.create(records)
        assert await store.count(None) == len(records)
        for user in {record.user_id for record in records}:
            assert await store.count(user) == sum(record.user_id == user for record in records)
        assert await store.count("nobody") == 0
        removed = await store.delete(Scope("user2", None), EVERYTHING)
        assert await store.count(None) == len(records) - removed
        assert await store.count("user2") == 0

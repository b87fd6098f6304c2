# ruff: noqa: D102 - the name of a test is its claim
"""Quarantined memories: out of every search and list but their own, and otherwise memories like all others."""

import pytest
from msgspec.structs import replace

from memrouter.models.memory import Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, StoreQuery
from memrouter.testing.edits import edit
from memrouter.testing.records import RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, generation, ids, listed_ids
from memrouter.testing.store_contract.merging import found
from memrouter.testing.store_contract.scanning import scanned


async def quarantined(store: MemoryStore, scope: Scope = ALICE) -> list[str]:
    """Return the ids of a scope's quarantined memories, newest first."""
    page = await store.list(scope, ListQuery(limit=100, now=LATER, quarantined=True))
    assert page.total == len(page.records)
    return ids(list(page.records))


class QuarantineContract(ContractBase):
    """What holds for memories that are kept apart."""

    @pytest.mark.parametrize("limit", [0, 100])
    async def test_a_quarantined_memory_is_not_searched(
        self, store: MemoryStore, make: RecordFactory, limit: int
    ) -> None:
        shown, apart = make.make("tea is green"), make.make("tea is black", quarantine="instruction")
        await store.create([shown, apart])
        for vector in (None, make.vector("tea is black")):
            query = StoreQuery(vector, words=("tea", "black"), k=9, now=LATER, scan_limit=limit)
            assert await found(store, query) == [shown.id]
        assert await store.touch(ALICE, [apart.id], now=LATER) == 0

    async def test_lists_show_either_the_quarantined_memories_or_the_others(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        shown, apart = make.many(2), make.many(3, quarantine="instruction")
        gone = [make.make(quarantine="role", superseded_by="m9"), make.make(quarantine="role", expires_at=LATER)]
        await store.create([*shown, *apart, *gone, make.make(user_id="bob", quarantine="role")])
        assert await listed_ids(store) == ids(shown[::-1])
        with_superseded = await store.list(ALICE, ListQuery(limit=9, now=LATER, include_superseded=True))
        assert ids(list(with_superseded.records)) == ids(shown[::-1])
        assert await quarantined(store) == ids(apart[::-1])
        page = await store.list(ALICE, ListQuery(limit=2, now=LATER, quarantined=True))
        assert (ids(list(page.records)), page.total) == ([apart[2].id, apart[1].id], 3)
        rest = await store.list(ALICE, ListQuery(limit=2, now=LATER, quarantined=True, after=page.next))
        assert (ids(list(rest.records)), rest.next) == ([apart[0].id], None)

    async def test_a_quarantined_memory_is_no_figure_and_no_twin(self, store: MemoryStore, make: RecordFactory) -> None:
        apart, again = make.make("tea", quarantine="instruction"), make.make("tea")
        await store.create([apart])
        assert (await store.stats(ALICE, now=LATER)).total == 0
        assert await store.create([again], unique_content=True) == [again.id]
        assert (await store.stats(ALICE, now=LATER)).content_bytes == 3

    async def test_a_quarantined_memory_is_kept_read_by_id_changed_and_deleted(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        apart = make.make("tea", quarantine="instruction")
        await store.create([apart])
        assert [plain(read) for read in await store.get(ALICE, [apart.id], now=LATER)] == [plain(apart)]
        assert [plain(read) for read in await scanned(store)] == [plain(apart)]
        assert await store.count("alice") == 1
        await edit(store, ALICE, apart.id, now=LATER, importance=0.25)
        (changed,) = await store.get(ALICE, [apart.id], now=LATER)
        assert plain(changed) == plain(replace(apart, updated_at=LATER, importance=0.25))
        assert await store.delete(ALICE, Filter(ids=frozenset({apart.id}))) == 1
        assert await store.count("alice") == 0
        await store.create([make.make("tea", quarantine="instruction")])
        assert await store.delete(ALICE, EVERYTHING) == 1

    async def test_an_answer_without_the_quarantined_is_complete(self, store: MemoryStore, make: RecordFactory) -> None:
        shown = make.make()
        await store.create([shown, *make.many(3, quarantine="role")])
        answer = await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=1))
        assert (ids(list(answer.records or ())), answer.complete) == ([shown.id], True)
        assert answer.generation == await generation(store)

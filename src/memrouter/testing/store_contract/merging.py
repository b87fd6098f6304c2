# ruff: noqa: D102 - the name of a test is its claim
"""``merge``: records just as they are, each whole or not at all, and found by what they now hold."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.errors import MemoryConflict, SchemaMismatch
from memrouter.models.memory import MemoryRecord, Scope, unit
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Filter, ListQuery, Merged, MergeMode, ScanQuery, StoreQuery
from memrouter.testing.edits import edit
from memrouter.testing.record_strategies import memories
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, generation, ids, listed, listed_ids
from memrouter.testing.store_contract.scanning import in_scan_order, scanned

BEFORE, AT, AFTER = -1, 0, 1
MANY = 1_100
"""More memories of one owner than a store writes in one step."""
ODD_IDS = ("*", "a b", "a  b", " a", "A", "a", "../x?y#z", "x' or 1=1 --", 'q"\\', "{a}:b", "a:b", "a,b", "%", "_",
           "é", "e\u0301", "\u202e", "\U0001f600" * 64)  # fmt: skip
"""Ids that a key, a pattern or an expression of a query could be mistaken about."""

OUTCOMES = {
    MergeMode.SKIP: {None: Merged.ADDED, BEFORE: Merged.KEPT, AT: Merged.KEPT, AFTER: Merged.KEPT},
    MergeMode.REPLACE: {None: Merged.ADDED, BEFORE: Merged.REPLACED, AT: Merged.REPLACED, AFTER: Merged.REPLACED},
    MergeMode.NEWER: {None: Merged.ADDED, BEFORE: Merged.KEPT, AT: Merged.KEPT, AFTER: Merged.REPLACED},
}
"""What becomes of a record by how its ``updated_at`` compares with that of the memory that is there; None for none."""


async def found(store: MemoryStore, query: StoreQuery) -> list[str]:
    """Return the ids that a search gives for Alice."""
    return ids(list((await store.search(ALICE, query)).records or ()))


def copies(records: Sequence[MemoryRecord]) -> list[dict[str, object]]:
    """Return memories in the order of a scan in a form that can be compared."""
    return [plain(record) for record in in_scan_order(records)]


class MergingContract(ContractBase):
    """What holds for memories that are brought in just as they are."""

    async def test_a_memory_with_an_odd_id_is_read_changed_and_deleted_and_no_other_one(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = [make.make(f"memory {number}", id=odd) for number, odd in enumerate(ODD_IDS)]
        await store.merge(records, mode=MergeMode.SKIP)
        for place, record in enumerate(records):
            assert ids(await store.get(ALICE, [record.id], now=NOW)) == [record.id]
            assert await store.touch(ALICE, [record.id], now=LATER) == 1
            changed = await edit(store, ALICE, record.id, now=LATER, importance=1.0)
            assert changed is not None
            assert (changed.id, changed.content) == (record.id, record.content)
            assert await store.delete(ALICE, Filter(ids=frozenset({record.id}))) == 1
            assert set(await listed_ids(store, ALICE)) == {each.id for each in records[place + 1 :]}

    @pytest.mark.parametrize("mode", MergeMode)
    @pytest.mark.parametrize("age", [None, BEFORE, AT, AFTER])
    async def test_the_mode_decides_where_the_id_exists(
        self, store: MemoryStore, make: RecordFactory, mode: MergeMode, age: int | None
    ) -> None:
        held, offered = make.make("held"), make.make("offered", importance=0.25)
        if age is not None:
            await store.create([held])
            offered = replace(offered, id=held.id, updated_at=held.updated_at + age)
        before = await generation(store)
        expected = OUTCOMES[mode][age]
        assert list(await store.merge([offered], mode=mode)) == [expected]
        stays = expected is Merged.KEPT
        assert copies(await scanned(store)) == copies([held if stays else offered])
        assert (await generation(store) == before) is stays

    async def test_each_record_of_a_call_stands_for_itself(self, store: MemoryStore, make: RecordFactory) -> None:
        old, even, new = make.make(), make.make(), make.make()
        await store.create([old, even, new])
        offered = [
            replace(new, content="newer", updated_at=new.updated_at + 1),
            make.make(user_id="bob"),
            replace(even, content="no newer"),
            make.make(),
            replace(old, content="older", updated_at=old.updated_at - 1),
        ]
        outcomes = list(await store.merge(offered, mode=MergeMode.NEWER))
        assert outcomes == [Merged.REPLACED, Merged.ADDED, Merged.KEPT, Merged.ADDED, Merged.KEPT]
        assert copies(await scanned(store)) == copies([offered[0], offered[1], even, offered[3], old])

    async def test_nothing_comes_of_no_records(self, store: MemoryStore) -> None:
        assert list(await store.merge([], mode=MergeMode.REPLACE)) == []
        assert await generation(store) == 0

    # A store is shared by the examples of one suite, and the test by the suites of several stores: it holds for all.
    @given(data=st.data())
    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    async def test_every_field_is_kept_byte_for_byte(self, store: MemoryStore, data: st.DataObject) -> None:
        drawn = memories(store.capabilities)
        record = data.draw(drawn)
        scope = Scope(record.user_id, None)
        held = await scanned(store, ScanQuery(user_id=record.user_id))
        try:
            await store.merge([record], mode=MergeMode.REPLACE)
        except MemoryConflict:  # an earlier example gave this id to somebody else
            assert copies(await scanned(store, ScanQuery(user_id=record.user_id))) == copies(held)
            return
        others = [other for other in held if other.id != record.id]
        assert copies(await scanned(store, ScanQuery(user_id=record.user_id))) == copies([*others, record])
        again = replace(data.draw(drawn), id=record.id, user_id=record.user_id)
        assert list(await store.merge([again], mode=MergeMode.REPLACE)) == [Merged.REPLACED]
        assert copies(await scanned(store, ScanQuery(user_id=record.user_id))) == copies([*others, again])
        if again.expires_at is None:
            assert [plain(read) for read in await store.get(scope, [record.id], now=LATER)] == [plain(again)]

    @pytest.mark.parametrize("mode", MergeMode)
    async def test_merging_again_changes_nothing_more(
        self, store: MemoryStore, make: RecordFactory, mode: MergeMode
    ) -> None:
        records = [*make.many(5), *make.many(3, user_id="bob", access_count=4, last_accessed=NOW)]
        assert list(await store.merge(records, mode=mode)) == [Merged.ADDED] * 8
        again = Merged.REPLACED if mode is MergeMode.REPLACE else Merged.KEPT
        assert list(await store.merge(records, mode=mode)) == [again] * 8
        assert copies(await scanned(store)) == copies(records)
        assert await store.count(None) == 8

    async def test_a_replaced_memory_is_found_by_what_it_now_holds(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record, others = make.make("giraffe"), make.many(3)
        await store.create([record, *others])
        walrus = replace(record, content="walrus", embedding=make.vector("walrus"))
        assert list(await store.merge([walrus], mode=MergeMode.REPLACE)) == [Merged.REPLACED]
        for limit in (0, 100):
            near = await store.search(ALICE, StoreQuery(make.vector("walrus"), k=1, now=LATER, scan_limit=limit))
            assert (near.records or ())[0].id == record.id
            assert (near.scores or ())[0] == pytest.approx(1.0, abs=1e-6)
            far = await store.search(ALICE, StoreQuery(make.vector("giraffe"), k=9, now=LATER, scan_limit=limit))
            assert max(far.scores or ()) < 0.999
        for word, expected in (("walrus", [record.id]), ("giraffe", [])):
            assert await found(store, StoreQuery(vector=None, words=(word,), k=5, now=LATER)) == expected

    async def test_a_replaced_memory_leaves_no_equal_content_behind(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("giraffe")
        await store.create([record])
        await store.merge([replace(record, content="walrus", embedding=make.vector("walrus"))], mode=MergeMode.REPLACE)
        again, same = make.make("giraffe"), make.make("walrus")
        assert await store.create([again, same], unique_content=True) == [again.id, record.id]

    async def test_a_replaced_memory_keeps_nothing_that_the_record_lacks(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make(
            conversation_id="c1",
            turn_index=3,
            role="user",
            superseded_by="m9",
            expires_at=NOW,
            access_count=4,
            last_accessed=NOW,
        )
        bare = replace(make.make(project_id="apollo"), id=record.id, created_at=record.created_at - 5)
        await store.create([record, make.make()])
        await store.touch(ALICE, [record.id], now=NOW - 1)
        await store.merge([bare], mode=MergeMode.REPLACE)
        assert [plain(read) for read in await listed(store, Scope("alice", "apollo"))] == [plain(bare)]
        assert record.id not in await listed_ids(store)
        assert await store.touch(Scope("alice", "apollo"), [record.id], now=LATER) == 1
        (touched,) = await store.get(Scope("alice", None), [record.id], now=LATER)
        assert (touched.access_count, touched.last_accessed) == (1, LATER)

    async def test_hidden_memories_come_in_hidden(self, store: MemoryStore, make: RecordFactory) -> None:
        shown = make.make("tea")
        hidden = [make.make("tea", superseded_by=shown.id), make.make("tea", expires_at=NOW)]
        await store.merge([shown, *hidden], mode=MergeMode.SKIP)
        assert await listed_ids(store) == [shown.id]
        for limit in (0, 100):
            query = StoreQuery(make.vector("tea"), words=("tea",), k=9, now=LATER, scan_limit=limit)
            assert await found(store, query) == [shown.id]
        page = await store.list(ALICE, ListQuery(limit=9, now=LATER, include_superseded=True))
        assert ids(list(page.records)) == [hidden[0].id, shown.id]
        assert copies(await scanned(store)) == copies([shown, *hidden])

    async def test_a_memory_can_be_hidden_and_shown_again_by_merging(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("tea")
        await store.create([record])
        for superseded, expected in (("m9", []), (None, [record.id])):
            await store.merge([replace(record, superseded_by=superseded)], mode=MergeMode.REPLACE)
            assert await listed_ids(store) == expected
            for limit in (0, 100):
                query = StoreQuery(make.vector("tea"), words=("tea",), k=9, now=LATER, scan_limit=limit)
                assert await found(store, query) == expected

    async def test_equal_contents_come_in_as_often_as_they_are_brought(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        twins = [make.make("tea") for _ in range(3)]
        assert list(await store.merge(twins, mode=MergeMode.NEWER)) == [Merged.ADDED] * 3
        assert await listed_ids(store) == ids(twins)[::-1]

    async def test_the_generation_rises_for_those_whose_memories_change(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        hers, mine = make.make(user_id="bob"), make.make()
        await store.create([hers, mine])
        users = [ALICE, Scope("bob"), Scope("carol")]
        before = [await generation(store, scope) for scope in users]
        await store.merge([hers, make.make(), make.make(user_id="carol")], mode=MergeMode.SKIP)
        after = [await generation(store, scope) for scope in users]
        assert [new > old for old, new in zip(before, after, strict=True)] == [True, False, True]

    async def test_an_id_of_another_owner_is_a_conflict_or_a_memory_apart(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        hers, mine = make.make("hers", user_id="bob"), make.make("mine")
        await store.create([hers])
        for mode in MergeMode:
            with contextlib.suppress(MemoryConflict):
                await store.merge([replace(mine, id=hers.id, updated_at=LATER), mine], mode=mode)
                assert await store.count("alice") == 2
            assert await store.count("alice") in (0, 2)
            assert [plain(read) for read in await listed(store, Scope("bob"))] == [plain(hers)]

    async def test_an_id_twice_for_one_owner_is_a_conflict(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make("one")
        for mode in MergeMode:
            with pytest.raises(MemoryConflict) as caught:
                await store.merge([record, make.make(), make.make("two", id=record.id)], mode=mode)
            assert set(caught.value.ids) == {record.id}
        assert await scanned(store) == []
        assert await generation(store) == 0

    async def test_a_vector_that_does_not_fit_is_refused_and_nothing_is_written(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        held, bad = make.make(), make.make(user_id="carol")
        await store.create([held])
        before = await generation(store)
        for fault in (
            replace(bad, embedding=unit(bad.embedding[:-1])),
            replace(bad, embedding=bad.embedding * 2),
            replace(bad, embedding_model="another-model"),
        ):
            with pytest.raises(SchemaMismatch):
                await store.merge(
                    [replace(held, content="new"), make.make(user_id="bob"), fault], mode=MergeMode.REPLACE
                )
        assert copies(await scanned(store)) == copies([held])
        assert await generation(store) == before

    async def test_many_memories_come_in_at_once(self, store: MemoryStore, make: RecordFactory) -> None:
        records = make.many(MANY)
        assert list(await store.merge(records, mode=MergeMode.SKIP)) == [Merged.ADDED] * MANY
        assert list(await store.merge(records, mode=MergeMode.REPLACE)) == [Merged.REPLACED] * MANY
        assert await store.count("alice") == MANY
        assert copies(await scanned(store)) == copies(records)

    async def test_one_of_many_merges_of_the_same_memory_adds_it(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make("tea")
        calls = (store.merge([record], mode=MergeMode.SKIP) for _ in range(20))
        outcomes = Counter(outcome for (outcome,) in await asyncio.gather(*calls))
        assert outcomes == {Merged.ADDED: 1, Merged.KEPT: 19}
        assert copies(await scanned(store)) == copies([record])

# ruff: noqa: D102 - the name of a test is its claim
"""``touch``, ``delete`` and the generation number."""

from memrouter.models.memory import MemoryType, Scope, Source
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, StoreQuery
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, generation, ids, listed_ids


class ChangingContract(ContractBase):
    """What holds for changes to memories that exist."""

    async def test_superseding_takes_a_memory_out_of_lists_and_searches(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        old, new = make.make("tea"), make.make("green tea")
        await store.create([old, new])
        assert await edit(store, ALICE, old.id, now=LATER, superseded_by=new.id) is not None
        assert await listed_ids(store) == [new.id]
        for limit in (0, 100):
            query = StoreQuery(vector=make.vector("tea"), words=("tea",), k=9, now=LATER, scan_limit=limit)
            answer = await store.search(ALICE, query)
            assert answer.records is not None
            assert ids(list(answer.records)) == [new.id]

    async def test_touch_counts_once_for_each_living_memory(self, store: MemoryStore, make: RecordFactory) -> None:
        first, second = make.make(), make.make(access_count=5, last_accessed=NOW + 1)
        superseded, expired = make.make(superseded_by="m9"), make.make(expires_at=LATER)
        await store.create([first, second, superseded, expired])
        everyone = [first.id, second.id, superseded.id, expired.id, "absent", first.id]
        assert await store.touch(ALICE, everyone, now=LATER) == 2
        assert await store.touch(ALICE, [first.id], now=LATER + 5) == 1
        assert await store.touch(ALICE, [], now=LATER) == 0
        found = await store.get(ALICE, [first.id, second.id], now=LATER)
        assert [(memory.access_count, memory.last_accessed) for memory in found] == [(2, LATER + 5), (6, LATER)]

    async def test_touch_changes_neither_the_memory_nor_the_generation(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make()
        await store.create([record])
        before = await generation(store)
        await store.touch(ALICE, [record.id], now=LATER)
        (found,) = await store.get(ALICE, [record.id], now=LATER)
        assert plain(found) == plain(record) | {"access_count": 1, "last_accessed": LATER}
        assert await generation(store) == before

    async def test_counters_survive_a_change_and_go_with_a_deletion(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("old")
        await store.create([record])
        await store.touch(ALICE, [record.id], now=LATER)
        assert await edit(store, ALICE, record.id, now=LATER, content="new") is not None
        (changed,) = await store.get(ALICE, [record.id], now=LATER)
        assert (changed.access_count, changed.last_accessed) == (1, LATER)
        await store.delete(ALICE, EVERYTHING)
        await store.create([record])
        (found,) = await store.get(ALICE, [record.id], now=LATER)
        assert (found.access_count, found.last_accessed) == (0, None)

    async def test_touch_does_not_bring_a_deleted_memory_back(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make()
        await store.create([record])
        await store.delete(ALICE, EVERYTHING)
        assert await store.touch(ALICE, [record.id], now=LATER) == 0
        assert await store.get(ALICE, [record.id], now=LATER) == []
        assert await listed_ids(store) == []

    async def test_a_deleted_memory_is_gone_from_every_read(self, store: MemoryStore, make: RecordFactory) -> None:
        gone, kept = make.make("purple walrus"), make.make("green walrus")
        await store.create([gone, kept])
        assert await store.delete(ALICE, Filter(ids=frozenset({gone.id, "absent"}))) == 1
        assert await store.get(ALICE, [gone.id], now=LATER) == []
        page = await store.list(ALICE, ListQuery(limit=9, now=LATER, include_superseded=True))
        assert (ids(list(page.records)), page.total) == ([kept.id], 1)
        assert (await store.stats(ALICE, now=LATER)).total == 1
        for query in (
            StoreQuery(vector=gone.embedding, k=9, now=LATER),
            StoreQuery(vector=None, words=("purple", "walrus"), k=9, now=LATER),
            StoreQuery(vector=gone.embedding, k=9, now=LATER, scan_limit=100),
        ):
            answer = await store.search(ALICE, query)
            assert answer.records is not None
            assert ids(list(answer.records)) == [kept.id]
        assert await store.delete(ALICE, Filter(ids=frozenset({gone.id}))) == 0

    async def test_delete_takes_superseded_and_expired_memories_too(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        await store.create([make.make(), make.make(superseded_by="m9"), make.make(expires_at=NOW)])
        assert await store.delete(ALICE, EVERYTHING) == 3
        assert await store.delete(ALICE, EVERYTHING) == 0

    async def test_delete_removes_what_matches_and_nothing_else(self, store: MemoryStore, make: RecordFactory) -> None:
        semantic = make.make(type=MemoryType.SEMANTIC, source=Source.API)
        imported = make.make(type=MemoryType.SEMANTIC, source=Source.IMPORT)
        episodic = make.make(type=MemoryType.EPISODIC, source=Source.API)
        elsewhere = make.make(type=MemoryType.SEMANTIC, source=Source.API, project_id="apollo")
        await store.create([semantic, imported, episodic, elsewhere])
        assert await store.delete(ALICE, Filter(ids=frozenset())) == 0
        assert await store.delete(ALICE, Filter(types=frozenset())) == 0
        where = Filter(types=frozenset({MemoryType.SEMANTIC}), sources=frozenset({Source.API}))
        assert await store.delete(ALICE, where) == 1
        assert await listed_ids(store, Scope("alice", None)) == [elsewhere.id, episodic.id, imported.id]
        assert await store.delete(Scope("alice", None), EVERYTHING) == 3

    async def test_every_write_raises_the_generation(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make()
        seen = [await generation(store)]
        assert seen == [0]
        await store.create([record])
        seen.append(await generation(store))
        await store.create(make.many(3), unique_content=True)
        seen.append(await generation(store))
        await edit(store, ALICE, record.id, now=LATER, importance=0.2)
        seen.append(await generation(store))
        await edit(store, ALICE, record.id, now=LATER, content="new")
        seen.append(await generation(store))
        await store.delete(ALICE, Filter(ids=frozenset({record.id})))
        seen.append(await generation(store))
        await store.delete(ALICE, EVERYTHING)
        seen.append(await generation(store))
        await store.create([make.make()])
        seen.append(await generation(store))
        assert seen == sorted(set(seen))

    async def test_the_generation_belongs_to_the_owner_not_to_the_project(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        await store.create([make.make(project_id="apollo"), make.make(user_id="bob")])
        hers = await generation(store, Scope("bob"))
        mine = await generation(store)
        assert (
            mine == await generation(store, Scope("alice", "apollo")) == await generation(store, Scope("alice", None))
        )
        await store.create([make.make(project_id="gemini")])
        assert await generation(store) > mine
        assert await generation(store, Scope("bob")) == hers

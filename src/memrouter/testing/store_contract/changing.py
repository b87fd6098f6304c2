# ruff: noqa: D102 - the name of a test is its claim
"""``update``, ``touch``, ``delete`` and the generation number."""

import pytest

from memrouter.errors import SchemaMismatch
from memrouter.models.memory import MemoryType, Scope, Source, unit
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, Patch, StoreQuery
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, generation, ids, listed_ids


class ChangingContract(ContractBase):
    """What holds for changes to memories that exist."""

    def rewritten(self, store: MemoryStore, make: RecordFactory, content: str) -> Patch:
        """Return a patch that replaces the content."""
        return Patch(
            updated_at=LATER,
            content=content,
            embedding=make.vector(content),
            embedding_model=store.capabilities.embedding_model,
        )

    async def test_an_update_changes_what_it_names_and_nothing_else(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("old", conversation_id="c1", turn_index=4, role="user", access_count=2, last_accessed=NOW)
        other = make.make()
        await store.create([record, other])
        patch = Patch(updated_at=LATER, type=MemoryType.SEMANTIC, importance=0.0, expires_at=LATER + 9)
        changed = await store.update(ALICE, record.id, patch)
        expected = plain(record) | {
            "updated_at": LATER,
            "type": MemoryType.SEMANTIC,
            "importance": 0.0,
            "expires_at": LATER + 9,
        }
        assert changed is not None
        assert plain(changed) == expected
        found = await store.get(ALICE, [record.id, other.id], now=LATER)
        assert [plain(memory) for memory in found] == [expected, plain(other)]

    async def test_an_update_of_the_text_replaces_it_on_both_sides_of_the_search(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("giraffe")
        await store.create([record, *make.many(3)])
        changed = await store.update(ALICE, record.id, self.rewritten(store, make, "walrus"))
        assert changed is not None
        assert changed.content == "walrus"
        near = await store.search(ALICE, StoreQuery(vector=make.vector("walrus"), k=1, now=LATER))
        assert near.records is not None
        assert near.scores is not None
        assert ids(list(near.records)) == [record.id]
        assert near.scores[0] == pytest.approx(1.0, abs=1e-6)
        for word, expected in (("walrus", [record.id]), ("giraffe", [])):
            answer = await store.search(ALICE, StoreQuery(vector=None, words=(word,), k=5, now=LATER))
            assert answer.records is not None
            assert ids(list(answer.records)) == expected

    async def test_superseding_takes_a_memory_out_of_lists_and_searches(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        old, new = make.make("tea"), make.make("green tea")
        await store.create([old, new])
        changed = await store.update(ALICE, old.id, Patch(updated_at=LATER, superseded_by=new.id))
        assert changed is not None
        assert changed.superseded_by == new.id
        assert await listed_ids(store) == [new.id]
        for limit in (0, 100):
            query = StoreQuery(vector=make.vector("tea"), words=("tea",), k=9, now=LATER, scan_limit=limit)
            answer = await store.search(ALICE, query)
            assert answer.records is not None
            assert ids(list(answer.records)) == [new.id]

    async def test_a_superseded_memory_can_still_be_changed(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make(superseded_by="m9")
        await store.create([record])
        changed = await store.update(ALICE, record.id, Patch(updated_at=LATER, importance=1.0))
        assert changed is not None
        assert changed.importance == 1.0

    async def test_an_absent_or_expired_memory_is_not_updated(self, store: MemoryStore, make: RecordFactory) -> None:
        expired = make.make(expires_at=LATER)
        await store.create([expired])
        before = await generation(store)
        patch = Patch(updated_at=LATER, importance=0.9, expires_at=LATER + 100)
        assert await store.update(ALICE, expired.id, patch) is None
        assert await store.update(ALICE, "absent", patch) is None
        assert await generation(store) == before
        assert await store.get(ALICE, [expired.id], now=LATER) == []
        assert [plain(found) for found in await store.get(ALICE, [expired.id], now=NOW)] == [plain(expired)]

    async def test_an_update_with_a_vector_that_does_not_fit_writes_nothing(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("old")
        await store.create([record])
        before = await generation(store)
        short = unit(record.embedding[:-1])
        model = store.capabilities.embedding_model
        for patch in (
            Patch(updated_at=LATER, content="new", embedding=short, embedding_model=model),
            Patch(updated_at=LATER, content="new", embedding=record.embedding * 2, embedding_model=model),
            Patch(updated_at=LATER, content="new", embedding=record.embedding, embedding_model="another-model"),
        ):
            with pytest.raises(SchemaMismatch):
                await store.update(ALICE, record.id, patch)
        assert [plain(found) for found in await store.get(ALICE, [record.id], now=LATER)] == [plain(record)]
        assert await generation(store) == before

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

    async def test_counters_survive_an_update_and_go_with_a_deletion(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("old")
        await store.create([record])
        await store.touch(ALICE, [record.id], now=LATER)
        changed = await store.update(ALICE, record.id, self.rewritten(store, make, "new"))
        assert changed is not None
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
        await store.update(ALICE, record.id, Patch(updated_at=LATER, importance=0.2))
        seen.append(await generation(store))
        await store.update(ALICE, record.id, self.rewritten(store, make, "new"))
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

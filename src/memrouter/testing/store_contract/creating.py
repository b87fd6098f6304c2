# ruff: noqa: D102 - the name of a test is its claim
"""``create``: all or nothing, conflicts, unique content, vectors."""

import contextlib

import numpy as np
import pytest
from msgspec.structs import replace

from memrouter.errors import MemoryConflict, SchemaMismatch
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MAX_CONTENT_BYTES, MemoryType, Scope, Source, Trust, unit
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Filter
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, generation, listed, listed_ids

TEXTS = (
    "é e\u0301 ﬁ 🧠 👩‍👩‍👧 用户 مستخدم",
    "line\nbreak\ttab\r\n  blanks  ",
    "'; DROP TABLE memories; --",
    '"quoted" \\ {braces} @owner:{*} |,:',
    "x" * MAX_CONTENT_BYTES,
    "🧠" * (MAX_CONTENT_BYTES // 4),
    ".",
)


class CreatingContract(ContractBase):
    """What holds for ``create``."""

    async def test_every_field_comes_back_as_it_was_given(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make(
            "Who? Me.",
            project_id="apollo",
            type=MemoryType.PROCEDURAL,
            source=Source.EXTRACTION,
            trust=Trust.DOCUMENT,
            importance=0.125,
            updated_at=NOW + 77,
            last_accessed=NOW + 78,
            expires_at=LATER + 1,
            access_count=3,
            conversation_id="conversation 1",
            turn_index=0,
            role="user",
            superseded_by="m2",
            quarantine="instruction",
            pinned=True,
            links=("m3", "m4"),
            history=(
                HistoryEntry(NOW, Event.CREATED, Actor.ROUTER, rule="redacted:card_number=1", ref="conversation 1"),
                HistoryEntry(NOW + 77, Event.SUPERSEDED, Actor.OWNER, ref="m2"),
            ),
        )
        assert await store.create([record]) == [record.id]
        (found,) = await store.get(Scope("alice", "apollo"), [record.id], now=LATER)
        assert plain(found) == plain(record)

    async def test_a_memory_with_defaults_comes_back_as_it_was_given(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make()
        await store.create([record])
        assert [plain(found) for found in await listed(store)] == [plain(record)]

    @pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{ascii(text)[:20]}-{len(text)}")
    async def test_content_comes_back_unchanged(self, store: MemoryStore, make: RecordFactory, text: str) -> None:
        await store.create([make.make(text)])
        assert [record.content for record in await listed(store)] == [text]

    async def test_vectors_come_back_bit_by_bit(self, store: MemoryStore, make: RecordFactory) -> None:
        dimension = store.capabilities.dimension
        vectors = unit(np.random.default_rng(5).standard_normal((50, dimension)))
        vectors[0] = np.eye(1, dimension, dtype=np.float32)[0]
        vectors[1] = -vectors[0]
        vectors[2, 0] = np.float32(1e-42)
        vectors[2] = unit(vectors[2])
        records = [make.make(embedding=vector) for vector in vectors]
        await store.create(records)
        found = {record.id: record.embedding for record in await listed(store)}
        for record in records:
            assert found[record.id].dtype == np.float32
            assert found[record.id].tobytes() == record.embedding.tobytes()

    async def test_nothing_is_stored_for_no_records(self, store: MemoryStore) -> None:
        assert await store.create([]) == []
        assert await generation(store) == 0

    async def test_one_call_may_store_for_several_owners(self, store: MemoryStore, make: RecordFactory) -> None:
        records = [make.make(user_id=user) for user in ("alice", "bob", "alice")]
        assert await store.create(records) == [record.id for record in records]
        assert await listed_ids(store, Scope("alice")) == [records[2].id, records[0].id]
        assert await listed_ids(store, Scope("bob")) == [records[1].id]

    async def test_an_id_that_exists_is_a_conflict_and_nothing_is_stored(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        old, new = make.make("old"), make.make("new")
        await store.create([old])
        before = await generation(store)
        with pytest.raises(MemoryConflict) as caught:
            await store.create([new, make.make("changed", id=old.id)])
        assert caught.value.ids == (old.id,)
        assert [record.content for record in await listed(store)] == ["old"]
        assert await generation(store) == before

    async def test_an_id_of_another_owner_is_a_conflict_or_a_memory_apart(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        hers, mine = make.make("hers", user_id="bob"), make.make("mine")
        await store.create([hers])
        with contextlib.suppress(MemoryConflict):
            await store.create([replace(mine, id=hers.id)])
        assert {record.content for record in await listed(store)} <= {"mine"}
        await store.delete(ALICE, Filter(ids=frozenset({hers.id})))
        assert [plain(record) for record in await listed(store, Scope("bob"))] == [plain(hers)]

    async def test_an_id_twice_in_one_call_is_a_conflict(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make("one")
        with pytest.raises(MemoryConflict) as caught:
            await store.create([record, make.make("two", id=record.id)])
        assert caught.value.ids == (record.id,)
        assert await listed_ids(store) == []

    @pytest.mark.parametrize("fault", ["longer", "shorter", "matrix", "nan", "infinite", "zero", "not unit", "model"])
    async def test_a_vector_that_does_not_fit_is_refused_and_nothing_is_stored(
        self, store: MemoryStore, make: RecordFactory, fault: str
    ) -> None:
        good = make.make()
        vector = good.embedding.copy()
        faults = {
            "longer": replace(good, embedding=unit(np.append(vector, 1))),
            "shorter": replace(good, embedding=unit(vector[:-1])),
            "matrix": replace(good, embedding=vector[np.newaxis]),
            "nan": replace(good, embedding=np.where(np.arange(len(vector)) == 0, np.float32(np.nan), vector)),
            "infinite": replace(good, embedding=np.where(np.arange(len(vector)) == 0, np.float32(np.inf), vector)),
            "zero": replace(good, embedding=np.zeros_like(vector)),
            "not unit": replace(good, embedding=vector * np.float32(1.01)),
            "model": replace(good, embedding_model="another-model"),
        }
        with pytest.raises(SchemaMismatch):
            await store.create([make.make(), faults[fault], make.make(user_id="bob")])
        assert await listed_ids(store) == []
        assert await listed_ids(store, Scope("bob")) == []

    async def test_equal_content_is_stored_twice_unless_it_is_to_be_unique(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        first, second = make.make("tea"), make.make("tea")
        await store.create([first])
        await store.create([second])
        assert await listed_ids(store) == [second.id, first.id]

    async def test_unique_content_answers_with_the_id_that_has_it(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        first = make.make("Likes  Green Tea")
        fresh = make.make("likes coffee")
        await store.create([first])
        twin = make.make(" likes green\ttea ")
        assert await store.create([twin, fresh], unique_content=True) == [first.id, fresh.id]
        assert await listed_ids(store) == [fresh.id, first.id]

    async def test_unique_content_looks_at_earlier_records_of_the_call(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        first, again, other = make.make("tea"), make.make("TEA"), make.make("milk")
        assert await store.create([first, again, other], unique_content=True) == [first.id, first.id, other.id]
        assert await listed_ids(store) == [other.id, first.id]

    async def test_a_repeated_unique_call_is_answered_as_the_first_one_was(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        record = make.make("tea")
        await store.create([record], unique_content=True)
        before = await generation(store)
        assert await store.create([record], unique_content=True) == [record.id]
        assert await listed_ids(store) == [record.id]
        assert await generation(store) == before

    async def test_unique_content_is_apart_for_each_user_and_project(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = [
            make.make("tea"),
            make.make("tea", user_id="bob"),
            make.make("tea", project_id="apollo"),
            make.make("tea", user_id="Alice"),
        ]
        assert await store.create(records, unique_content=True) == [record.id for record in records]

    async def test_superseded_content_may_be_stored_anew(self, store: MemoryStore, make: RecordFactory) -> None:
        gone, fresh = make.make("tea", superseded_by="m9"), make.make("tea")
        await store.create([gone])
        assert await store.create([fresh], unique_content=True) == [fresh.id]

    async def test_expired_content_may_be_stored_anew(self, store: MemoryStore, make: RecordFactory) -> None:
        moment = NOW + 5_000
        gone = make.make("tea", expires_at=moment)
        at_its_end = make.make("tea", created_at=moment)
        before = make.make("tea", created_at=moment - 1, expires_at=moment)
        await store.create([gone])
        assert await store.create([before], unique_content=True) == [gone.id]
        assert await store.create([at_its_end], unique_content=True) == [at_its_end.id]

    async def test_deleted_content_may_be_stored_anew(self, store: MemoryStore, make: RecordFactory) -> None:
        gone, fresh = make.make("tea"), make.make("tea")
        await store.create([gone])
        await store.delete(ALICE, Filter(ids=frozenset({gone.id})))
        assert await store.create([fresh], unique_content=True) == [fresh.id]

    async def test_edited_content_counts_as_what_it_is_now(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make("tea")
        await store.create([record])
        await edit(store, ALICE, record.id, now=LATER, content="milk")
        milk, tea = make.make("milk"), make.make("tea")
        assert await store.create([milk, tea], unique_content=True) == [record.id, tea.id]

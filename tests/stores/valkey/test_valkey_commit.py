"""What the contract cannot know of commits: keys, and memories of the Go router that are in the way."""

import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from memrouter.config.memory import ValkeySettings
from memrouter.errors import InvalidRequest
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, Scope, owner_key
from memrouter.stores.query import Change, Filter, ListQuery, StoreQuery
from memrouter.stores.valkey.connection import Command, Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.rebuild import Rebuild
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain

from .audit import audit

LATER = NOW + 10**6
ALICE = Scope("alice")
EVENT = HistoryEntry(NOW, Event.QUARANTINED, Actor.ROUTER, "instruction")


async def generation(store: ValkeyStore) -> int:
    return (await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation


async def commit(store: ValkeyStore, *put: MemoryRecord, remove: frozenset[str] = frozenset()) -> None:
    change = Change("alice", after=await generation(store), put=put, remove=remove)
    assert await store.commit(change) is not None


async def read(store: ValkeyStore, *ids: str) -> list[object]:
    return [plain(record) for record in await store.get(ALICE, ids, now=LATER)]


async def test_a_commit_leaves_the_keys_of_a_user_in_order(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    old = records.make("old", conversation_id="c1", expires_at=LATER, access_count=3, quarantine="role", pinned=True)
    gone, moved = records.make("gone", access_count=1), records.make("moved", project_id="apollo")
    await valkey_store.create([old, gone, moved])
    bare = replace(records.make("new"), id=old.id, created_at=old.created_at + 7)
    await commit(valkey_store, bare, replace(moved, project_id="gemini"), remove=frozenset({gone.id, "absent"}))
    assert await audit(connection, valkey) == []
    keys = Keys(valkey.collection_prefix).of_user("alice")
    assert await connection.run(["HGETALL", keys.access]) == {old.id.encode(): b"3:"}
    assert await connection.run(["HEXISTS", keys.memory(old.id), "quarantine"]) == 0
    assert await connection.run(["ZCARD", keys.ids]) == 2


async def test_the_index_follows_a_change_of_project_and_of_what_is_shown(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    moved, hidden = records.make("moved"), records.make("hidden")
    await valkey_store.create([moved, hidden])
    await commit(valkey_store, replace(moved, project_id="apollo"), replace(hidden, quarantine="role"))
    asked = StoreQuery(records.vector("moved"), k=9, now=LATER)  # not whole: by the index
    for scope, expected in ((ALICE, []), (Scope("alice", "apollo"), [moved.id]), (Scope("alice", None), [moved.id])):
        answer = await valkey_store.search(scope, asked)
        assert [record.id for record in answer.records or ()] == expected
    await commit(valkey_store, moved, hidden)
    answer = await valkey_store.search(ALICE, asked)
    assert [record.id for record in answer.records or ()] == [moved.id, hidden.id]


async def test_the_audit_finds_what_is_out_of_order(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    record, other = records.make("one", access_count=2), records.make("two")
    await valkey_store.create([record, other])
    keys = Keys(valkey.collection_prefix).of_user("alice")
    breaks: tuple[Command, ...] = (
        ["HSET", keys.memory(record.id), "quarantine", "role"],
        ["HSET", keys.memory(record.id), "record", "[]"],
        ["ZADD", keys.ids, 5, other.id],
        ["ZREM", keys.ids, other.id],
        ["ZADD", keys.content, 0, "0" * 64 + "m9"],
        ["HSET", keys.access, "m9", "1:"],
        ["UNLINK", keys.memory(other.id)],
        ["HSET", keys.next_vectors, "m9", "x"],
    )
    for command in breaks:
        await connection.run(command)
        assert await audit(connection, valkey), command
        await commit(valkey_store, record, other, remove=frozenset({"m9"}))
        await connection.run(["ZREM", keys.content, "0" * 64 + "m9"])
        assert await audit(connection, valkey) == [], command


async def test_hidden_memories_are_told_by_their_fields(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    apart = records.make(quarantine="instruction", history=(EVENT,), links=("m7",), pinned=True)
    await valkey_store.create([apart])
    key = Keys(valkey.collection_prefix).of_user("alice").memory(apart.id)
    assert await connection.run(["HMGET", key, "live_until", "quarantine"]) == [b"0", b"instruction"]
    changed = await edit(valkey_store, ALICE, apart.id, now=LATER, expires_at=LATER + 9)
    assert changed is not None
    assert plain(changed) == plain(replace(apart, updated_at=LATER, expires_at=LATER + 9))
    assert await audit(connection, valkey) == []
    await commit(valkey_store, replace(changed, quarantine=None))
    assert await connection.run(["HMGET", key, "live_until", "quarantine"]) == [str(LATER + 9).encode(), None]


async def test_superseded_quarantined_memories_are_listed_where_both_are_asked_for(
    valkey_store: ValkeyStore, records: RecordFactory
) -> None:
    plainly, superseded = records.make(), records.make(superseded_by="m9")
    apart, both = records.make(quarantine="role"), records.make(quarantine="role", superseded_by="m9")
    expired = records.make(quarantine="role", expires_at=LATER)
    await valkey_store.create([plainly, superseded, apart, both, expired])
    for asked, expected in (
        (ListQuery(9, LATER, quarantined=True, include_superseded=True), [both, apart]),
        (ListQuery(9, LATER, quarantined=True), [apart]),
        (ListQuery(9, LATER, include_superseded=True), [superseded, plainly]),
        (ListQuery(9, LATER), [plainly]),
    ):
        page = await valkey_store.list(ALICE, asked)
        assert ([record.id for record in page.records], page.total) == ([one.id for one in expected], len(expected))


async def test_an_identical_commit_costs_no_generation_twice(valkey_store: ValkeyStore, records: RecordFactory) -> None:
    change = Change("alice", after=0, put=[records.make()])
    first = await valkey_store.commit(change)
    assert first == await generation(valkey_store)
    assert await valkey_store.commit(change) is None
    assert await generation(valkey_store) == first


async def test_a_memory_of_another_user_is_no_part_of_a_change(
    valkey_store: ValkeyStore, records: RecordFactory
) -> None:
    with pytest.raises(ValueError, match="one user"):
        await valkey_store.commit(Change("alice", after=0, put=[records.make(user_id="bob")]))


@pytest.mark.parametrize("number", [1, 40])
async def test_a_lone_surrogate_is_refused_and_nothing_is_written(
    valkey_store: ValkeyStore, records: RecordFactory, number: int
) -> None:
    put = [*records.many(number), replace(records.make(), content="\ud800")]
    with pytest.raises(InvalidRequest, match="surrogate"):
        await valkey_store.commit(Change("alice", after=0, put=put, remove=frozenset({"\ud800"})))
    assert await valkey_store.commit(Change("alice", after=0, remove=frozenset({"\ud800"}))) is not None
    assert await valkey_store.count(None) == 0


async def write_as_go(connection: Connection, valkey: ValkeySettings, record: MemoryRecord) -> None:
    """Store a memory as the Go router does."""
    fields = {
        "id": record.id, "user_id": record.user_id, "project_id": "default", "memory_type": "semantic",
        "content": record.content, "source": "conversation", "created_at": str(record.created_at),
        "updated_at": str(record.updated_at), "access_count": "2", "importance": "0.5",
        "metadata": json.dumps({"last_accessed": NOW // 1000}),
    }  # fmt: skip
    pairs = [part for pair in fields.items() for part in pair]
    key = valkey.collection_prefix + record.id
    await connection.run(["HSET", key, *pairs, "embedding", record.embedding.astype("<f4").tobytes()])


@pytest.fixture
async def go_store(valkey: ValkeySettings, connection: Connection) -> AsyncIterator[ValkeyStore]:
    """A store over an index of the Go router."""
    await index_of(connection, valkey).create(legacy=True)
    store = await ValkeyStore.open(valkey, dimension=16, embedding_model="test-model")
    yield store
    await store.aclose()


def index_of(connection: Connection, valkey: ValkeySettings) -> SearchIndex:
    return SearchIndex(connection, valkey, dimension=16, embedding_model="test-model")


async def rebuild(connection: Connection, valkey: ValkeySettings) -> None:
    index = index_of(connection, valkey)
    await Rebuild(connection, index, embedding_model="test-model", on_progress=lambda _: None).run()


async def test_memories_of_the_go_router_are_replaced_and_removed_in_the_same_step(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    make = RecordFactory(go_store.capabilities)
    kept, gone, hers = make.make("kept"), make.make("gone"), make.make("hers", user_id="bob")
    for record in (kept, gone, hers):
        await write_as_go(connection, valkey, record)
    (old,) = await go_store.get(ALICE, [kept.id], now=LATER)
    new = replace(old, superseded_by="m9", history=(EVENT,))
    change = Change("alice", after=0, put=[new], remove=frozenset({gone.id, hers.id}))
    calls = await go_store.commit(change)
    assert calls == await generation(go_store), "one step, with nothing behind it"
    keys = Keys(valkey.collection_prefix)
    assert await connection.run(["EXISTS", *(keys.untagged(one.id) for one in (kept, gone))]) == 0
    assert await connection.run(["EXISTS", keys.untagged(hers.id)]) == 1
    assert await read(go_store, kept.id, gone.id) == [plain(new)]
    assert (await go_store.list(ALICE, ListQuery(9, LATER))).total == 0
    assert (await go_store.list(Scope("bob"), ListQuery(9, LATER))).total == 1


async def test_a_memory_that_stands_in_both_places_counts_as_it_is_under_its_owner_and_goes_from_both(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    """As where a cluster was lost between a change and the removal of what it replaced."""
    make = RecordFactory(go_store.capabilities)
    records = [make.make("first"), make.make("second", quarantine="role"), make.make("third")]
    await commit(go_store, *records)
    for record in records:
        await write_as_go(connection, valkey, replace(record, content="as it was"))
    page = await go_store.list(ALICE, ListQuery(9, LATER))
    assert [record.content for record in page.records] == ["third", "first"]
    for limit in (0, 9):
        answer = await go_store.search(ALICE, StoreQuery(make.vector("x"), k=9, now=LATER, scan_limit=limit))
        assert sorted(record.content for record in answer.records or ()) == ["first", "third"]
    assert (await go_store.stats(ALICE, now=LATER)).total == 2
    wanted = frozenset({records[0].id})
    assert await go_store.delete(ALICE, Filter(ids=wanted)) == 1
    assert await read(go_store, records[0].id) == []
    await rebuild(connection, valkey)
    assert await read(go_store, *(record.id for record in records)) == [plain(record) for record in records[1:]]
    assert await audit(connection, valkey) == []


async def test_an_id_that_looks_like_a_key_touches_no_other_memory(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    kept = [records.make(), records.make(user_id="bob")]
    await valkey_store.create(kept)
    for record in kept:
        odd = f"{{{owner_key(record.user_id)}}}:{record.id}"
        await commit(valkey_store, remove=frozenset({odd}))
        assert await valkey_store.delete(ALICE, Filter(ids=frozenset({odd}))) == 0
        assert await valkey_store.get(ALICE, [odd], now=LATER) == []
    for record in kept:
        (found,) = await valkey_store.get(Scope(record.user_id), [record.id], now=LATER)
        assert plain(found) == plain(record)
        assert await audit(connection, valkey, record.user_id) == []


async def test_a_later_version_of_the_go_router_leaves_nothing_of_a_quarantined_one(
    go_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    make = RecordFactory(go_store.capabilities)
    apart = make.make("apart", quarantine="role", conversation_id="c1")
    await commit(go_store, apart)
    await write_as_go(connection, valkey, replace(apart, content="anew", updated_at=LATER))
    await rebuild(connection, valkey)
    store = await ValkeyStore.open(valkey, dimension=16, embedding_model="test-model")
    page = await store.list(ALICE, ListQuery(9, LATER))
    assert [(record.content, record.quarantine, record.conversation_id) for record in page.records] == [
        ("anew", None, None)
    ]
    assert (await store.list(ALICE, ListQuery(9, LATER, quarantined=True))).total == 0
    await store.aclose()

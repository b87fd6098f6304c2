"""Memories that were stored by the first layout: read and removed as they are, brought up to date when written."""

import json

import pytest
from msgspec.structs import replace

from memrouter.config.memory import ValkeySettings
from memrouter.errors import SchemaMismatch
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Change, Filter, ListQuery, Merged, MergeMode, StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.rows import scope_digest, to_fields, twin_digest, twin_member
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain

from .audit import audit
from .conftest import DIMENSION

LATER = NOW + 10**6
ALICE = Scope("alice")


async def put_as_format_1(connection: Connection, settings: ValkeySettings, record: MemoryRecord) -> None:
    """Store a memory as the first layout kept it."""
    keys = Keys(settings.collection_prefix).of_user(record.user_id)
    digest = twin_digest(record.content)
    fields = to_fields(record, dimension=DIMENSION, embedding_model="test-model")
    packed = json.loads(fields["record"])
    fields |= {"digest": digest, "record": json.dumps(packed[:15])}
    for name in ("conversation_id", "expires_at"):
        value = getattr(record, name)
        if value is not None:
            fields[name] = str(value)
    whole = digest + scope_digest(record.user_id, record.project_id) + record.id
    await connection.pipeline(
        [
            ["HSET", keys.memory(record.id), *(part for pair in fields.items() for part in pair)],
            ["ZADD", keys.ids, record.created_at, record.id],
            ["ZADD", keys.content, 0, whole],
            ["INCR", keys.generation],
        ]
    )


@pytest.fixture
async def old(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> MemoryRecord:
    record = records.make("I like tea.", conversation_id="c1", expires_at=LATER + 10)
    await put_as_format_1(connection, valkey, record)
    return record


async def members(connection: Connection, settings: ValkeySettings) -> list[str]:
    reply = await connection.run(["ZRANGE", Keys(settings.collection_prefix).of_user("alice").content, 0, -1])
    return [member.decode() for member in reply]


async def test_it_is_read_searched_and_listed_by_conversation(valkey_store: ValkeyStore, old: MemoryRecord) -> None:
    (read,) = await valkey_store.get(ALICE, [old.id], now=NOW)
    assert plain(read) == plain(old)
    for scan_limit in (0, 100):
        found = await valkey_store.search(ALICE, StoreQuery(vector=old.embedding, k=3, now=NOW, scan_limit=scan_limit))
        assert [record.id for record in found.records or ()] == [old.id]
    for conversation, ids in (("c1", [old.id]), ("c2", [])):
        page = await valkey_store.list(ALICE, ListQuery(now=NOW, limit=5, where=Filter(conversation_id=conversation)))
        assert [record.id for record in page.records] == ids


async def test_its_content_is_not_stored_again(
    valkey_store: ValkeyStore, old: MemoryRecord, records: RecordFactory
) -> None:
    twin, elsewhere = records.make("i like  TEA."), records.make("I like tea.", project_id="apollo")
    assert await valkey_store.create([twin, elsewhere], unique_content=True) == [old.id, elsewhere.id]


@pytest.mark.parametrize("how", ["delete", "walk", "commit"])
async def test_nothing_is_left_of_it_when_it_goes(
    valkey_store: ValkeyStore, old: MemoryRecord, connection: Connection, valkey: ValkeySettings, how: str
) -> None:
    if how == "commit":
        state = await valkey_store.search(ALICE, StoreQuery(vector=None, k=1, now=NOW))
        change = Change("alice", after=state.generation, put=(), remove=frozenset({old.id}))
        assert await valkey_store.commit(change) is not None
    else:
        where = Filter(ids=frozenset({old.id})) if how == "delete" else Filter(conversation_id="c1")
        assert await valkey_store.delete(ALICE, where) == 1
    assert await members(connection, valkey) == []
    assert await valkey_store.get(ALICE, [old.id], now=NOW) == []


@pytest.mark.parametrize("text", [None, "I like coffee."])
async def test_a_change_gives_it_the_form_of_today(
    valkey_store: ValkeyStore,
    old: MemoryRecord,
    connection: Connection,
    valkey: ValkeySettings,
    text: str | None,
) -> None:
    changes = {"expires_at": LATER + 20} if text is None else {"content": text}
    changed = await edit(valkey_store, ALICE, old.id, now=NOW + 5, **changes)
    assert changed is not None
    assert changed.conversation_id == "c1"
    assert changed.expires_at == LATER + (20 if text is None else 10)
    assert await members(connection, valkey) == [twin_member(changed)]
    assert await audit(connection, valkey) == []


async def test_one_that_gives_way_leaves_no_second_member(
    valkey_store: ValkeyStore, old: MemoryRecord, connection: Connection, valkey: ValkeySettings
) -> None:
    newer = replace(old, updated_at=NOW + 9)
    assert await valkey_store.merge([newer], mode=MergeMode.NEWER) == [Merged.REPLACED]
    assert await members(connection, valkey) == [twin_member(newer)]
    assert await audit(connection, valkey) == []


async def test_a_router_raises_the_format_of_the_store_and_an_older_one_is_told(
    valkey_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    meta = Keys(valkey.collection_prefix).meta
    await connection.run(["HSET", meta, "format", "1"])
    again = await ValkeyStore.open(valkey, dimension=DIMENSION, embedding_model="test-model")
    await again.aclose()
    assert await connection.run(["HGET", meta, "format"]) == b"2"
    await connection.run(["HSET", meta, "format", "3"])
    with pytest.raises(SchemaMismatch, match="newer memrouter"):
        await ValkeyStore.open(valkey, dimension=DIMENSION, embedding_model="test-model")

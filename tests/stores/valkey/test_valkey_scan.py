"""What the contract cannot know of scans: keys that are no owners', rows that are gone, many small owners."""

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import Scope, owner_key
from memrouter.stores.query import ScanQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.scan import COUNT_STEP
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.valkey import apart, forget

DIMENSION = 16


async def scanned(store: ValkeyStore, *, page: int = 500) -> list[str]:
    return [record.id async for found in store.scan(ScanQuery(page=page)) for record in found.records]


async def test_small_owners_share_a_page(valkey_store: ValkeyStore, records: RecordFactory) -> None:
    made = [records.make(user_id=f"user{number}") for number in range(300) for _ in range(2)]
    await valkey_store.create(made)
    pages = [page async for page in valkey_store.scan(ScanQuery(page=100))]
    assert len(pages) <= 7
    expected = sorted(made, key=lambda record: (owner_key(record.user_id), record.id))
    assert [record.id for page in pages for record in page.records] == [record.id for record in expected]


async def test_an_owner_that_grows_meanwhile_is_read_to_its_end(
    valkey_store: ValkeyStore, records: RecordFactory
) -> None:
    users = sorted((f"user{number}" for number in range(4)), key=owner_key)
    made = [records.make(user_id=user) for user in users for _ in range(4)]
    await valkey_store.create(made)
    pages = valkey_store.scan(ScanQuery(page=4))
    found = list((await anext(pages)).records)
    late = records.many(9, user_id=users[2], created_at=NOW + 10**6)
    await valkey_store.create(late)
    async for page in pages:
        found += page.records
    expected = made[:12] + late + made[12:]
    assert [record.id for record in found] == [record.id for record in expected]


async def test_keys_that_only_look_like_owners_are_passed_by(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    record = records.make()
    await valkey_store.create([record])
    prefix, owner = valkey.collection_prefix, owner_key("bob")
    for key in (
        f"~{prefix}{{bob}}:ids",
        f"~{prefix}x{{{owner}}}:ids",
        f"~{prefix}{{{owner}}}:ids:ids",
        f"~{prefix}ids",
    ):
        await connection.run(["ZADD", key, 1, "m1"])
    await connection.run(["SET", f"~{prefix}{{{owner}}}:ids", "text"])
    assert await scanned(valkey_store) == [record.id]
    assert await valkey_store.count(None) == 1


@pytest.mark.parametrize("prefix", ["a*b:", "a?b:", "a[b]:", "a\\b:"])
async def test_prefixes_that_look_like_patterns_find_their_own_owners_only(
    valkey: ValkeySettings, connection: Connection, prefix: str
) -> None:
    settings = apart(valkey)
    mine = settings.model_copy(update={"collection_prefix": settings.collection_prefix + prefix})
    store = await ValkeyStore.open(mine, dimension=DIMENSION, embedding_model="test-model")
    record = RecordFactory(store.capabilities).make()
    await store.create([record])
    for other in ("aXb:", "aXYb:", "ab:", "a\\*b:"):
        key = Keys(settings.collection_prefix + other).of_user("bob").ids
        await connection.run(["ZADD", key, 1, "m1"])
    assert await scanned(store) == [record.id]
    assert await store.count(None) == 1
    await store.aclose()
    await forget(settings)


async def test_what_the_server_threw_away_is_neither_scanned_nor_counted(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    made = records.many(5)
    await valkey_store.create(made)
    keys = Keys(valkey.collection_prefix).of_user("alice")
    await connection.run(["DEL", keys.memory(made[1].id), keys.memory(made[4].id)])
    kept = [made[0].id, made[2].id, made[3].id]
    assert await scanned(valkey_store) == await scanned(valkey_store, page=1) == kept
    assert await valkey_store.count(None) == await valkey_store.count("alice") == 3


async def test_a_row_of_somebody_elses_under_an_owners_key_is_left_out(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    mine, hers = records.make(), records.make(user_id="bob")
    await valkey_store.create([mine, hers])
    keys = Keys(valkey.collection_prefix)
    row = await connection.run(["HGET", keys.of_user("bob").memory(hers.id), "record"])
    await connection.run(["HSET", keys.of_user("alice").memory(mine.id), "record", row])
    assert await scanned(valkey_store) == [hers.id]


async def test_an_owner_of_many_steps_is_counted_to_the_end(valkey_store: ValkeyStore, records: RecordFactory) -> None:
    made = records.many(2 * COUNT_STEP)
    await valkey_store.create(made)
    assert await valkey_store.count("alice") == 2 * COUNT_STEP
    await valkey_store.create([records.make()])
    await valkey_store.create([records.make(user_id="bob")])
    assert await valkey_store.count(None) == 2 * COUNT_STEP + 2
    assert await valkey_store.count(Scope("alice").user_id) == 2 * COUNT_STEP + 1

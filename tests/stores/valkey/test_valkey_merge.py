"""What the contract cannot know of merges: keys, and memories of the Go router that are in the way."""

import pytest
from msgspec.structs import replace

from memrouter.config.memory import ValkeySettings
from memrouter.errors import InvalidRequest
from memrouter.models.memory import Scope
from memrouter.stores.query import EVERYTHING, Merged, MergeMode
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.merge import STEP
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import NOW, RecordFactory, plain

LATER = NOW + 10**6
ALICE = Scope("alice")


async def test_a_replaced_memory_leaves_no_field_and_no_member_behind(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    old = records.make("old", conversation_id="c1", expires_at=LATER, superseded_by="m9", access_count=3)
    new = replace(records.make("new"), id=old.id, created_at=old.created_at + 7)
    keys = Keys(valkey.collection_prefix).of_user("alice")
    await valkey_store.create([new])
    fresh = set(await connection.run(["HKEYS", keys.memory(old.id)]))
    await valkey_store.delete(ALICE, EVERYTHING)
    await valkey_store.create([old])
    await connection.run(["HSET", keys.memory(old.id), "metadata", "{}"])
    await valkey_store.merge([new], mode=MergeMode.REPLACE)
    assert set(await connection.run(["HKEYS", keys.memory(old.id)])) == fresh
    assert float(await connection.run(["ZSCORE", keys.ids, old.id])) == new.created_at
    assert await connection.run(["ZCARD", keys.content]) == await connection.run(["ZCARD", keys.ids]) == 1
    assert await connection.run(["HLEN", keys.access]) == 0


async def test_counts_of_a_memory_that_the_server_threw_away_do_not_come_back(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    record = records.make()
    await valkey_store.create([record])
    await valkey_store.touch(ALICE, [record.id], now=LATER)
    await connection.run(["DEL", Keys(valkey.collection_prefix).of_user("alice").memory(record.id)])
    assert list(await valkey_store.merge([record], mode=MergeMode.SKIP)) == [Merged.ADDED]
    assert [plain(found) for found in await valkey_store.get(ALICE, [record.id], now=LATER)] == [plain(record)]


async def test_outcomes_stand_in_the_order_of_the_records_over_owners_and_steps(
    valkey_store: ValkeyStore, records: RecordFactory
) -> None:
    made = [records.make(user_id=f"user{number % 3}") for number in range(3 * STEP + 5)]
    await valkey_store.create(made[::7])
    outcomes = list(await valkey_store.merge(made, mode=MergeMode.SKIP))
    assert [number for number, outcome in enumerate(outcomes) if outcome is Merged.KEPT] == list(range(0, len(made), 7))
    assert set(outcomes) == {Merged.KEPT, Merged.ADDED}


async def test_one_id_may_be_merged_for_two_owners(valkey_store: ValkeyStore, records: RecordFactory) -> None:
    mine = records.make("mine")
    hers = records.make("hers", id=mine.id, user_id="bob")
    assert list(await valkey_store.merge([mine, hers], mode=MergeMode.SKIP)) == [Merged.ADDED] * 2
    for record in (mine, hers):
        (found,) = await valkey_store.get(Scope(record.user_id), [record.id], now=LATER)
        assert plain(found) == plain(record)


@pytest.mark.parametrize("number", [1, 40])
async def test_a_lone_surrogate_is_refused_and_nothing_is_written(
    valkey_store: ValkeyStore, records: RecordFactory, number: int
) -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        await valkey_store.merge(
            [*records.many(number), replace(records.make(), content="\ud800")], mode=MergeMode.SKIP
        )
    assert await valkey_store.count(None) == 0

"""What keys cost, as a real server counts it."""

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.sizing.allocators import Allocator
from memrouter.sizing.keyspace import Keyspace, slot
from memrouter.sizing.server import look_at
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.valkey import apart

SHORT = {"id": 36, "user": 22, "kind": 8}
MEMORY = SHORT | {"content": 600, "record": 246, "owner": 32, "scope": 32, "time": 13, "embedding": 1024}


async def usage(connection: Connection, key: str) -> int:
    return int(await connection.run(["MEMORY", "USAGE", key, "SAMPLES", 0]))


@pytest.mark.parametrize("fields", [SHORT, MEMORY])
async def test_a_hash_costs_what_the_server_says(
    connection: Connection, valkey: ValkeySettings, fields: dict[str, int]
) -> None:
    key = apart(valkey).collection_prefix + "x" * 60
    await connection.run(["HSET", key, *(part for name, size in fields.items() for part in (name, "v" * size))])
    keyspace = (await look_at(connection)).kind.keyspace
    assert keyspace.hash(len(key), fields) == pytest.approx(await usage(connection, key), rel=0.1)
    await connection.run(["UNLINK", key])


@pytest.mark.parametrize(("members", "length"), [(100, 36), (100, 64), (1000, 36), (100, 100)])
async def test_a_sorted_set_costs_what_the_server_says(
    connection: Connection, valkey: ValkeySettings, members: int, length: int
) -> None:
    key = apart(valkey).collection_prefix + "z"
    pairs = [part for number in range(members) for part in (1_750_000_000_000 + number, f"{number:0{length}d}")]
    await connection.run(["ZADD", key, *pairs])
    keyspace = (await look_at(connection)).kind.keyspace
    each = keyspace.zset_member(length, members, score_bytes=9)
    assert keyspace.zset(len(key)) + members * each == pytest.approx(await usage(connection, key), rel=0.08)
    await connection.run(["UNLINK", key])


def test_a_compact_block_costs_less_than_a_table() -> None:
    for allocator in Allocator:
        compact = Keyspace(allocator, hash_listpack_value=20_000).hash(75, MEMORY)
        assert compact < 0.95 * Keyspace(allocator).hash(75, MEMORY)


def test_a_table_is_between_half_and_quite_full() -> None:
    costs = [slot(entries) for entries in range(1_000, 100_000, 777)]
    assert 9 < min(costs) < max(costs) < 20

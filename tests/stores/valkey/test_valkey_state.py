"""What the contract cannot know of small facts: how long the server keeps them, and what it forgets."""

import asyncio

import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys, StateKeys
from memrouter.stores.valkey.state import GRACE_MS
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import NOW, RecordFactory

SECOND, DAY = 1_000, 86_400_000
FOR_EVER = -1


@pytest.fixture
def keys(valkey: ValkeySettings) -> StateKeys:
    return Keys(valkey.collection_prefix).state("space")


async def remaining(connection: Connection, key: str) -> int:
    """Return how long the server keeps a key, in milliseconds."""
    return int(await connection.run(["PTTL", key]))


def about(milliseconds: int) -> range:
    """Return the times that may remain when some of it has passed."""
    return range(milliseconds - 30 * SECOND, milliseconds + 1)


async def test_the_server_itself_removes_what_has_expired_a_minute_later(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    for expires_at, expected in ((NOW + DAY, DAY + GRACE_MS), (NOW, GRACE_MS)):
        await valkey_store.state.put("space", "key", b"", now=NOW, expires_at=expires_at)
        assert await remaining(connection, keys.entry("key")) in about(expected)
    await valkey_store.state.put("space", "key", b"", now=NOW)
    assert await remaining(connection, keys.entry("key")) == FOR_EVER


async def test_the_list_of_a_space_lasts_as_long_as_its_last_entry(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    for key, expires_at in (("short", NOW + SECOND), ("long", NOW + DAY), ("medium", NOW + 60 * SECOND)):
        await valkey_store.state.put("space", key, b"", now=NOW, expires_at=expires_at)
    assert await remaining(connection, keys.entries) in about(DAY + GRACE_MS)
    await valkey_store.state.put("space", "lasting", b"", now=NOW)
    assert await remaining(connection, keys.entries) == FOR_EVER
    await valkey_store.state.put("space", "lasting", b"", now=NOW, expires_at=NOW + 2 * DAY)
    assert await remaining(connection, keys.entries) in about(2 * DAY + GRACE_MS)


async def test_a_lease_that_expired_long_ago_is_taken_anew_and_stays(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    await valkey_store.state.put("space", "other", b"", now=NOW, expires_at=NOW + 2 * DAY)
    await valkey_store.state.put("space", "lease", b"1", now=NOW, expires_at=NOW + SECOND)
    assert await valkey_store.state.put("space", "lease", b"2", now=NOW + DAY, expires_at=NOW + 2 * DAY, if_version=0)
    entry = await valkey_store.state.get("space", "lease", now=NOW + DAY)
    assert entry is not None
    assert entry.value == b"2"
    assert await connection.run(["ZCARD", keys.entries]) == 2


async def test_what_has_expired_before_it_is_written_is_not_kept(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    assert await valkey_store.state.put("space", "key", b"", now=NOW) is not None
    assert await valkey_store.state.put("space", "key", b"", now=NOW, expires_at=NOW - DAY) is not None
    assert await connection.run(["EXISTS", keys.entries, keys.entry("key")]) == 0


async def test_names_of_expired_entries_go_with_later_writes(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    names = [f"key{number}" for number in range(150)]
    await asyncio.gather(
        *(valkey_store.state.put("space", name, b"", now=NOW, expires_at=NOW + SECOND) for name in names)
    )
    await connection.pipeline([["UNLINK", keys.entry(name)] for name in names[:70]])  # as the server does in time
    for left in (51, 1):
        await valkey_store.state.put("space", "lasting", b"", now=NOW + SECOND + GRACE_MS)
        assert await connection.run(["ZCARD", keys.entries]) == left
    assert await connection.run(["EXISTS", *(keys.entry(name) for name in names)]) == 0


async def test_a_version_does_not_come_again_where_the_server_has_forgotten_the_entry(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    """Nor where its clock went back: the counter is ahead of it then."""
    versions = []
    for _ in range(3):
        versions.append(await valkey_store.state.put("space", "key", b"", now=NOW, if_version=0))
        await connection.run(["UNLINK", keys.entry("key")])
    ahead = 2**52
    await connection.run(["SET", keys.clock, ahead])
    versions += [await valkey_store.state.put("space", "key", b"", now=NOW) for _ in range(2)]
    assert versions[-2:] == [ahead + 1, ahead + 2]
    assert versions == sorted(version for version in versions if version is not None)
    assert len(set(versions)) == 5


async def test_an_entry_that_the_server_has_removed_is_passed_over(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    for name in ("gone", "there"):
        await valkey_store.state.put("space", name, b"", now=NOW)
    await connection.run(["UNLINK", keys.entry("gone")])
    assert [entry.key async for entry in valkey_store.state.entries("space", now=NOW)] == ["there"]
    assert await valkey_store.state.remove("space", "gone") is False


async def test_nothing_but_counters_is_left_of_spaces_that_were_emptied(
    valkey_store: ValkeyStore, connection: Connection, valkey: ValkeySettings
) -> None:
    for number in range(30):
        await valkey_store.state.put(f"space{number}", "key", b"", now=NOW)
        if number % 2:
            await valkey_store.state.drop(f"space{number}")
        else:
            assert await valkey_store.state.remove(f"space{number}", "key")
    pattern = f"~{valkey.collection_prefix}state:*"
    left = {key async for part in connection.scan(pattern, kind=None) for key in part}
    assert left == {Keys(valkey.collection_prefix).state(f"space{number}").clock.encode() for number in range(30)}


async def test_a_space_of_more_than_one_step_is_dropped_whole(
    valkey_store: ValkeyStore, connection: Connection, keys: StateKeys
) -> None:
    puts = (valkey_store.state.put("space", f"key{number}", b"", now=NOW) for number in range(1100))
    await asyncio.gather(*puts)
    await valkey_store.state.drop("space")
    assert await connection.run(["EXISTS", keys.entries, *(keys.entry(f"key{number}") for number in range(1100))]) == 0


async def test_no_fact_reaches_the_index_a_scan_or_a_user(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    await valkey_store.create([records.make()])
    for space in ("ids", "next", "meta", "x:ids", "{" + "a" * 32 + "}:ids", "{" + "a" * 32 + "}:next"):
        await valkey_store.state.put(space, space, b"", now=NOW)
    assert await valkey_store.count(None) == 1
    info = await connection.run(["FT.INFO", valkey.index_name])
    pairs = info if isinstance(info, dict) else dict(zip(info[::2], info[1::2], strict=False))
    assert int(pairs[b"num_docs"]) == 1
    next_keys = [key async for part in connection.scan(Keys(valkey.collection_prefix).next_pattern) for key in part]
    assert next_keys == []

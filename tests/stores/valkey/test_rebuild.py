"""Memories of the Go router are moved while others read and write, and none is lost, doubled or brought back."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from memrouter.config.memory import ValkeySettings
from memrouter.errors import SchemaMismatch
from memrouter.models.memory import Scope, owner_key
from memrouter.stores.query import ListQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.rebuild import Rebuild, RebuildProgress
from memrouter.stores.valkey.scripts import ScriptCall
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.valkey_cluster import ValkeyCluster

DIMENSION = 8
MODEL = "model-a"
USERS = ("User", "user", "a,b", "a", "{b}", "naïve é")


@pytest.fixture(params=["at once", "over slots"])
async def connection(settings: ValkeySettings, request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    """Every test runs in both ways to move; the one for clusters works on one server too."""
    connection = await Connection.open(settings)
    if request.param == "over slots":
        connection.cluster = True
    yield connection
    await connection.aclose()


@pytest.fixture
async def index(connection: Connection, settings: ValkeySettings) -> SearchIndex:
    """Return the Go router's index, adopted."""
    index = SearchIndex(connection, settings, dimension=DIMENSION, embedding_model=MODEL)
    await connection.run(index.schema.legacy_command())
    assert (await index.ensure()).legacy
    return index


def go_row(number: int, *, user: str = "alice", updated_at: int = 2000, scale: float = 3.0) -> list[str | bytes]:
    vector = np.full(DIMENSION, scale, dtype="<f4")
    vector[number % DIMENSION] += 1
    metadata = {"user_id": user, "project_id": "", "source": "extraction", "importance": 0.5, "last_accessed": 77}
    return [
        "id", f"m{number}", "user_id", user, "project_id", "default", "memory_type", "semantic",
        "content", f"fact {number}", "source", "extraction", "metadata", json.dumps(metadata),
        "embedding", vector.tobytes(), "created_at", str(1000 + number), "updated_at", str(updated_at),
        "access_count", "4", "importance", "0.5",
    ]  # fmt: skip


async def put(connection: Connection, settings: ValkeySettings, numbers: Sequence[int], **changes: Any) -> None:
    await connection.pipeline(
        [["HSET", f"{settings.collection_prefix}m{number}", *go_row(number, **changes)] for number in numbers]
    )


def a_rebuild(
    connection: Connection,
    index: SearchIndex,
    *,
    on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    batch: int = 50,
) -> Rebuild:
    return Rebuild(connection, index, embedding_model=MODEL, on_progress=on_progress, batch=batch)


async def untagged(connection: Connection, settings: ValkeySettings) -> list[bytes]:
    keys = Keys(settings.collection_prefix)
    return [key async for part in connection.scan(keys.pattern) for key in part if keys.parse(key) is None]


async def members(connection: Connection, settings: ValkeySettings, user: str) -> list[bytes]:
    found: list[bytes] = await connection.run(["ZRANGE", Keys(settings.collection_prefix).of_user(user).ids, 0, -1])
    return found


async def test_a_memory_is_moved_with_all_that_belongs_to_it(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, [1])
    done = await a_rebuild(connection, index).run()
    keys = Keys(settings.collection_prefix).of_user("alice")
    names = ["owner", "content", "metadata", "live_until", "project_id", "updated_at", "access_count"]
    row = await connection.run(["HMGET", keys.memory("m1"), *names])
    assert row[:2] == [owner_key("alice").encode(), b"fact 1"]
    assert json.loads(row[2])["importance"] == 0.5
    assert row[3:] == [str(2**53).encode(), b"default", b"2000", None]
    vector = np.frombuffer(await connection.run(["HGET", keys.memory("m1"), "embedding"]), dtype="<f4")
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-6
    assert await connection.run(["ZSCORE", keys.ids, "m1"]) in (b"1001", 1001.0)
    assert await connection.run(["HGET", keys.access, "m1"]) == b"4:77000"
    assert await connection.run(["ZCARD", keys.content]) == 1
    assert int(await connection.run(["GET", keys.generation])) > 0
    assert await connection.run(["EXISTS", f"{settings.collection_prefix}m1"]) == 0
    assert (done.phase, done.moved, done.unusable) == ("done", 1, 0)


async def test_the_new_index_finds_every_owner_by_digest(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    for position, user in enumerate(USERS):
        await put(connection, settings, range(position * 10, position * 10 + 10), user=user)
    await a_rebuild(connection, index, batch=7).run()
    assert not (await index.ensure()).legacy
    assert (await index.meta())["format"] == "2"
    for user in USERS:
        query = f"@owner:{{{owner_key(user)}}}"
        assert (await connection.run(["FT.SEARCH", settings.index_name, query, "LIMIT", 0, 1]))[0] == 10
    assert await untagged(connection, settings) == []


async def test_a_second_rebuild_changes_no_memory(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, range(20))
    await a_rebuild(connection, index).run()
    generation = await connection.run(["GET", Keys(settings.collection_prefix).of_user("alice").generation])
    assert (await a_rebuild(connection, index).run()).moved == 0
    assert await connection.run(["GET", Keys(settings.collection_prefix).of_user("alice").generation]) == generation
    assert len(await members(connection, settings, "alice")) == 20


async def test_a_rebuild_that_was_killed_half_way_goes_on_where_it_stood(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, range(300))

    def kill(progress: RebuildProgress) -> None:
        if progress.moved >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await a_rebuild(connection, index, on_progress=kill, batch=25).run()
    left = len(await untagged(connection, settings))
    assert 0 < left < 300
    assert index.state.legacy
    done = await a_rebuild(connection, index).run()
    assert done.moved == left
    assert sorted(await members(connection, settings, "alice")) == sorted(f"m{n}".encode() for n in range(300))


async def test_two_rebuilds_at_once_do_each_other_no_harm(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, range(300))
    await asyncio.gather(*(a_rebuild(connection, index, batch=20).run() for _ in range(3)))
    ids = await members(connection, settings, "alice")
    assert len(ids) == 300
    base = Keys(settings.collection_prefix).of_user("alice").base
    rows = await connection.pipeline([["EXISTS", base + key.decode()] for key in ids])
    assert sum(rows) == 300
    assert await untagged(connection, settings) == []


async def read_all(connection: Connection, settings: ValkeySettings, user: str) -> set[str]:
    """Read as a router with the Go router's index does: the index first, the owner's keys second."""
    keys = Keys(settings.collection_prefix).of_user(user)
    found, ids = await connection.attempt(
        [
            ["FT.SEARCH", settings.index_name, f"@user_id:{{{user}}}", "RETURN", 1, "id", "LIMIT", 0, 1000],
            ["ZRANGE", keys.ids, 0, -1],
        ]
    )
    rows = {} if isinstance(found, Exception) or len(found) < 2 else found[1]
    return {row[b"id"].decode() for row in rows.values() if b"id" in row} | {key.decode() for key in ids}


async def test_reads_stay_complete_all_the_while(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    everything = {f"m{number}" for number in range(400)}
    await put(connection, settings, range(400))
    while (await index.recreate_if_missing()).backfilling:
        await asyncio.sleep(0.02)
    reader, reads = await Connection.open(settings), 0
    try:
        assert await read_all(reader, settings, "alice") == everything
        rebuild = asyncio.create_task(a_rebuild(connection, index, batch=10).run())
        while not rebuild.done():
            assert await read_all(reader, settings, "alice") == everything
            reads += 1
        assert (await rebuild).moved == 400
    finally:
        await reader.aclose()
    assert reads >= 5


Interference = Callable[[], Awaitable[None]]


class Disturbed(Rebuild):
    """A rebuild in which something happens between the reading of old rows and their move."""

    interference: Interference | None = None

    async def _read(self, keys: Sequence[bytes]) -> Any:
        read = await super()._read(keys)
        if self.interference is not None:
            happens, self.interference = self.interference, None
            await happens()
        return read


async def test_a_memory_deleted_while_it_is_moved_does_not_come_back(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, range(3))
    rebuild = Disturbed(connection, index, embedding_model=MODEL, on_progress=lambda _: None)

    async def forget() -> None:
        await connection.run(["UNLINK", f"{settings.collection_prefix}m1"])

    rebuild.interference = forget
    await rebuild.run()
    keys = Keys(settings.collection_prefix).of_user("alice")
    assert sorted(await members(connection, settings, "alice")) == [b"m0", b"m2"]
    assert await connection.run(["EXISTS", keys.memory("m1")]) == 0
    assert await connection.run(["HEXISTS", keys.access, "m1"]) in (0, False)
    assert await connection.run(["ZCARD", keys.content]) == 2


async def test_a_memory_edited_while_it_is_moved_keeps_the_edit(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, range(3))
    rebuild = Disturbed(connection, index, embedding_model=MODEL, on_progress=lambda _: None)

    async def edit() -> None:
        key = f"{settings.collection_prefix}m1"
        await connection.run(["HSET", key, "content", "edited", "updated_at", "3000"])

    rebuild.interference = edit
    done = await rebuild.run()
    keys = Keys(settings.collection_prefix).of_user("alice")
    assert await connection.run(["HGET", keys.memory("m1"), "content"]) == b"edited"
    assert await untagged(connection, settings) == []
    assert done.moved == 3
    assert await connection.run(["ZCARD", keys.content]) == 3


async def test_a_later_version_under_the_owners_key_wins(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, [1])
    await a_rebuild(connection, index).run()
    key = Keys(settings.collection_prefix).of_user("alice").memory("m1")
    await connection.run(["HSET", key, "content", "newer", "updated_at", "9000"])
    await put(connection, settings, [1])
    await a_rebuild(connection, index).run()
    assert await connection.run(["HGET", key, "content"]) == b"newer"
    assert await untagged(connection, settings) == []


async def test_rows_that_are_no_memories_stay_as_they_are(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    prefix = settings.collection_prefix
    await put(connection, settings, [1])
    await connection.run(["HSET", f"{prefix}strange", "a", "b"])
    await connection.run(["HSET", f"{prefix}short", *go_row(2), "id", "short", "embedding", b"\0" * 12])
    await connection.run(["HSET", f"{prefix}alias", *go_row(3)])
    await connection.run(["SET", f"{prefix}text", "no hash"])
    done = await a_rebuild(connection, index).run()
    assert (done.moved, done.unusable) == (1, 3)
    assert sorted(await untagged(connection, settings)) == sorted(
        f"{prefix}{name}".encode() for name in ("alias", "short", "strange")
    )
    await connection.run(["UNLINK", f"{prefix}text"])


async def test_a_row_with_a_lifetime_keeps_it_as_its_expiry(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, [1])
    await connection.run(["PEXPIREAT", f"{settings.collection_prefix}m1", 4_000_000_000_000])
    await a_rebuild(connection, index).run()
    key = Keys(settings.collection_prefix).of_user("alice").memory("m1")
    assert await connection.run(["HMGET", key, "expires_at", "live_until"]) == [b"4000000000000"] * 2


async def test_a_rebuild_changes_the_algorithm(connection: Connection, settings: ValkeySettings) -> None:
    await SearchIndex(connection, settings, dimension=DIMENSION, embedding_model=MODEL).ensure()
    graph = settings.model_copy(update={"index_algorithm": "hnsw"})
    index = SearchIndex(connection, graph, dimension=DIMENSION, embedding_model=MODEL)
    with pytest.raises(SchemaMismatch):
        await index.ensure()
    await a_rebuild(connection, index).run()
    assert (await index.ensure()).algorithm == "HNSW"


async def test_a_rebuild_for_another_model_or_dimension_is_refused(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, [1])
    for dimension, model in ((DIMENSION, "model-b"), (DIMENSION * 2, MODEL)):
        other = SearchIndex(connection, settings, dimension=dimension, embedding_model=model)
        with pytest.raises(SchemaMismatch, match="reindex"):
            await Rebuild(connection, other, embedding_model=model, on_progress=lambda _: None).run()
    found = await index.find()
    assert found is not None
    assert found.legacy
    assert len(await untagged(connection, settings)) == 1


@pytest.mark.parametrize("connection", ["over slots"], indirect=True)  # one server has no slots
async def test_every_script_stays_in_one_slot_in_a_cluster(
    connection: Connection, settings: ValkeySettings, index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(connection, settings, range(3))
    seen: list[ScriptCall] = []
    sending = connection.scripts

    async def watched(calls: Sequence[Any]) -> list[Any]:
        seen.extend(calls)
        return await sending(calls)

    monkeypatch.setattr(connection, "scripts", watched)
    await a_rebuild(connection, index).run()
    assert len(seen) == 3 * 3
    for call in seen:
        names = [key.decode() if isinstance(key, bytes) else str(key) for key in call.keys]
        assert len({name[name.find("{") + 1 : name.find("}")] if "{" in name else name for name in names}) == 1


async def test_a_real_cluster_moves_every_memory() -> None:
    async with ValkeyCluster() as cluster:
        settings = cluster.settings()
        connection = await Connection.open(settings)
        try:
            index = SearchIndex(connection, settings, dimension=DIMENSION, embedding_model=MODEL)
            await connection.run(index.schema.legacy_command())
            assert (await index.ensure()).legacy
            for number in range(10):
                await put(connection, settings, range(number * 20, number * 20 + 20), user=f"user{number}")
            done = await a_rebuild(connection, index, batch=30).run()
            assert (done.moved, done.unusable) == (200, 0)
            assert await untagged(connection, settings) == []
            for number in range(10):
                assert len(await members(connection, settings, f"user{number}")) == 20
        finally:
            await connection.aclose()


async def test_lists_of_a_router_that_serves_stay_complete(
    connection: Connection, settings: ValkeySettings, index: SearchIndex
) -> None:
    await put(connection, settings, range(300))
    while (await index.recreate_if_missing()).backfilling:
        await asyncio.sleep(0.02)
    store = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    query = ListQuery(limit=1000, now=10**13)
    try:
        rebuild = asyncio.create_task(a_rebuild(connection, index, batch=5).run())
        totals = set()
        while not rebuild.done():
            totals.add((await store.list(Scope("alice"), query)).total)
        await rebuild
        await store.check()
        totals.add((await store.list(Scope("alice"), query)).total)
        assert totals == {300}
    finally:
        await store.aclose()

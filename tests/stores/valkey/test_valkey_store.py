"""What the contract cannot know: keys, scripts, the index's part, scale, and what happens when the server does not."""

import asyncio
from dataclasses import replace as replace_query
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from memrouter.config.base import Secret
from memrouter.config.memory import SqliteSettings, ValkeySettings
from memrouter.errors import InvalidRequest, MemoryConflict, StoreUnavailable
from memrouter.models.memory import MemoryType, Scope, Source, unit
from memrouter.stores.query import EVERYTHING, Filter, ListQuery, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.server import ServerFacts
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.stores.valkey.writes import DELETE_STEP
from memrouter.testing.edits import edit
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory, plain
from memrouter.testing.valkey import ValkeyServer, apart, forget, serving

LATER = NOW + 10**6
ALICE = Scope("alice")
DIMENSION = 16


async def hash_of(connection: Connection, key: str) -> dict[bytes, bytes]:
    flat = await connection.run(["HGETALL", key])
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


async def all_keys(connection: Connection, pattern: str) -> set[str]:
    return {key.decode() async for part in connection.scan(pattern, kind=None) for key in part}


async def test_only_memories_stand_under_the_prefix_and_all_keys_carry_the_owner(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    record = records.make(access_count=1)
    await valkey_store.create([record])
    owner = Keys(valkey.collection_prefix).of_user("alice")
    prefix = valkey.collection_prefix
    assert await all_keys(connection, f"{prefix}*") == {owner.memory(record.id)}
    sides = {owner.ids, owner.generation, owner.access, owner.content}
    assert await all_keys(connection, f"~{prefix}*") == sides | {Keys(prefix).meta}


async def test_a_deletion_leaves_nothing_but_the_generation(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    made = [records.make(access_count=1), records.make(superseded_by="m9"), records.make(expires_at=NOW)]
    await valkey_store.create(made)
    await edit(valkey_store, ALICE, made[0].id, now=LATER, content="rewritten")
    assert await valkey_store.delete(ALICE, EVERYTHING) == 3
    owner = Keys(valkey.collection_prefix).of_user("alice")
    left = await all_keys(connection, f"*{valkey.collection_prefix}*")
    assert left == {owner.generation, Keys(valkey.collection_prefix).meta}


async def test_no_identity_stands_in_a_key(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    await valkey_store.create([records.make(user_id="somebody-special", project_id="secret-project")])
    assert not [
        key for key in await all_keys(connection, f"*{valkey.collection_prefix}*") if "s" in key.split("{", 1)[-1][:32]
    ]


async def test_touch_writes_no_memory_so_nothing_is_indexed_again(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    record = records.make()
    await valkey_store.create([record])
    key = Keys(valkey.collection_prefix).of_user("alice").memory(record.id)
    dump, before = await connection.run(["DUMP", key]), await _indexings(connection, valkey)
    for number in range(5):
        assert await valkey_store.touch(ALICE, [record.id], now=LATER + number) == 1
    assert await connection.run(["DUMP", key]) == dump
    assert await _indexings(connection, valkey) == before
    (found,) = await valkey_store.get(ALICE, [record.id], now=LATER)
    assert (found.access_count, found.last_accessed) == (5, LATER + 4)


async def test_a_whole_batch_of_touches_is_one_command(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    made = records.many(50)
    await valkey_store.create(made)
    await valkey_store.touch(ALICE, [made[0].id], now=LATER)
    before = await _calls(connection, "evalsha")
    assert await valkey_store.touch(ALICE, [record.id for record in made], now=LATER) == 50
    assert await _calls(connection, "evalsha") - before == 1


async def test_a_search_of_a_large_owner_asks_the_index_once(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    made = records.many(40)
    await valkey_store.create(made)
    before = await _calls(connection, "FT.SEARCH")
    answer = await valkey_store.search(ALICE, StoreQuery(vector=made[3].embedding, k=5, now=LATER))
    assert await _calls(connection, "FT.SEARCH") - before == 1
    assert answer.records is not None
    assert answer.records[0].id == made[3].id


async def test_a_batch_with_a_lone_surrogate_is_a_bad_request_and_nothing_is_written(
    valkey_store: ValkeyStore, records: RecordFactory
) -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        await valkey_store.create([records.make(), replace(records.make(), role="\ud800")])
    assert (await valkey_store.stats(ALICE, now=NOW)).total == 0


async def test_vectors_of_one_batch_go_to_their_own_memories(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    made = [records.make(f"text {number}") for number in range(40)]
    await valkey_store.create(made, unique_content=True)
    owner = Keys(valkey.collection_prefix).of_user("alice")
    for record in made:
        fields = await hash_of(connection, owner.memory(record.id))
        assert (fields[b"embedding"], fields[b"content"]) == (record.embedding.tobytes(), record.content.encode())


async def test_access_counts_come_with_every_search(valkey_store: ValkeyStore, records: RecordFactory) -> None:
    made = records.many(300)
    await valkey_store.create(made)
    await valkey_store.touch(ALICE, [record.id for record in made], now=LATER)
    await valkey_store.touch(ALICE, [made[0].id], now=LATER + 1)
    for limit in (0, 1000):
        query = StoreQuery(vector=made[0].embedding, k=3, now=LATER, scan_limit=limit)
        answer = await valkey_store.search(ALICE, query)
        assert answer.records is not None
        assert (answer.records[0].access_count, answer.records[0].last_accessed) == (2, LATER + 1)
        assert answer.records[1].access_count == 1


async def test_a_generation_does_not_come_again_when_the_server_has_lost_it(
    valkey_store: ValkeyStore, valkey: ValkeySettings, records: RecordFactory
) -> None:
    query = StoreQuery(vector=None, k=1, now=LATER)
    await valkey_store.create([records.make()])
    first = await valkey_store.search(ALICE, query)
    await valkey_store._connection.run(["DEL", Keys(valkey.collection_prefix).of_scope(ALICE).generation])
    await valkey_store.create([records.make()])
    assert (await valkey_store.search(ALICE, query)).generation > first.generation


async def test_two_stores_on_one_server_see_each_other_at_once(
    valkey_store: ValkeyStore, valkey: ValkeySettings, records: RecordFactory
) -> None:
    other = await ValkeyStore.open(valkey, dimension=DIMENSION, embedding_model="test-model")
    try:
        made = records.many(6)
        for index, record in enumerate(made):
            writer, reader = (valkey_store, other) if index % 2 else (other, valkey_store)
            await writer.create([record])
            answer = await reader.search(ALICE, StoreQuery(vector=record.embedding, k=1, now=LATER))
            assert answer.records is not None
            assert [found.id for found in answer.records] == [record.id]
        with pytest.raises(MemoryConflict):
            await other.create([made[0]])
        before = await valkey_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))
        await asyncio.gather(
            edit(valkey_store, ALICE, made[0].id, now=LATER, importance=0.25),
            edit(other, ALICE, made[0].id, now=LATER, type=MemoryType.PROCEDURAL),
        )
        mine, theirs = [await store.get(ALICE, [made[0].id], now=LATER) for store in (valkey_store, other)]
        assert [plain(record) for record in mine] == [plain(record) for record in theirs]
        first = await valkey_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))
        assert first.generation > before.generation
        assert (mine[0].importance, mine[0].type) == (0.25, MemoryType.PROCEDURAL), "one store lost the other's change"
    finally:
        await other.aclose()


async def test_an_owner_with_many_memories_is_deleted_in_steps_and_completely(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    kept = [records.make(type=MemoryType.SEMANTIC) for _ in range(700)]
    gone = [records.make(created_at=NOW + number // 1200) for number in range(2 * DELETE_STEP + 1)]
    everybody = [record for pair in zip(kept, gone[:700], strict=True) for record in pair] + gone[700:]
    await valkey_store.create(everybody)
    await valkey_store.create([records.make(user_id="bob")])
    where = Filter(types=frozenset({MemoryType.EPISODIC}))
    before = await _calls(connection, "evalsha")
    assert await valkey_store.delete(ALICE, where) == len(gone)
    assert await _calls(connection, "evalsha") - before == len(everybody) // DELETE_STEP + 1
    page = await valkey_store.list(ALICE, ListQuery(limit=1000, now=LATER))
    assert (page.total, {record.id for record in page.records}) == (700, {record.id for record in kept})
    assert (await valkey_store.list(Scope("bob"), ListQuery(limit=9, now=LATER))).total == 1


async def test_ten_thousand_memories_are_listed_counted_and_deleted(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    made = records.many(10_000)
    for first in range(0, 10_000, 1000):
        await valkey_store.create(made[first : first + 1000])
    seen, after = [], None
    while True:
        page = await valkey_store.list(ALICE, ListQuery(limit=3000, now=LATER, after=after))
        assert page.total == 10_000
        seen += [record.id for record in page.records]
        after = page.next
        if after is None:
            break
    assert seen == [record.id for record in reversed(made)]
    stats = await valkey_store.stats(ALICE, now=LATER)
    assert (stats.total, stats.oldest, stats.newest) == (10_000, made[0].created_at, made[-1].created_at)
    oldest = StoreQuery(vector=None, words=("1",), k=5, now=LATER)
    answer = await valkey_store.search(ALICE, oldest)
    assert answer.records is not None
    assert [record.id for record in answer.records] == [made[0].id]
    assert await valkey_store.delete(ALICE, EVERYTHING) == 10_000
    assert (await valkey_store.list(ALICE, ListQuery(limit=1, now=LATER))).total == 0


@pytest.mark.parametrize("metric", ["COSINE", "L2", "IP"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_sqlite_and_valkey_give_the_same_answers(
    valkey_server: ValkeySettings, tmp_path: Any, metric: str, seed: int
) -> None:
    settings = apart(valkey_server).model_copy(update={"metric_type": metric, "index_algorithm": "flat"})
    valkey = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model="m")
    sqlite = await SqliteStore.open(
        SqliteSettings(path=str(tmp_path / "m.db")), dimension=DIMENSION, embedding_model="m"
    )
    try:
        await serving(valkey)
        await _compare(valkey, sqlite, np.random.default_rng(seed))
    finally:
        await valkey.aclose()
        await sqlite.aclose()
        await forget(settings)


async def _compare(valkey: ValkeyStore, sqlite: SqliteStore, random: np.random.Generator) -> None:
    """Ask both stores the same random questions about the same random memories."""
    make = RecordFactory(valkey.capabilities)
    words = ("tea", "Milk", "Zürich", "walk", "EMP-1", "café")
    users = [*HOSTILE_IDENTITIES[:6], "User"]
    everything = [
        make.make(
            " ".join(random.choice(words, 3)),
            user_id=str(random.choice(users)),
            project_id=str(random.choice(["default", "apollo"])),
            embedding=unit(random.standard_normal(DIMENSION).round(int(random.integers(0, 3))) + 1e-3),
            type=MemoryType(random.choice(list(MemoryType))),
            source=Source(random.choice(list(Source))),
            created_at=NOW + int(random.integers(50)),
            expires_at=None if random.random() < 0.8 else NOW + int(random.integers(100)),
            superseded_by=None if random.random() < 0.9 else "m0",
        )
        for _ in range(300)
    ]
    for store in (valkey, sqlite):
        for first in range(0, 300, 60):
            await store.create(everything[first : first + 60])
    for _ in range(40):
        scope = Scope(str(random.choice(users)), [None, "default", "apollo"][random.integers(3)])
        where = Filter(
            types=frozenset(random.choice(list(MemoryType), 2)),
            sources=None if random.random() < 0.6 else frozenset(random.choice(list(Source), 3)),
        )
        now = NOW + int(random.integers(100))
        query = StoreQuery(
            vector=unit(random.standard_normal(DIMENSION)) if random.random() < 0.9 else None,
            k=int(random.integers(1, 30)),
            now=now,
            words=tuple(
                random.choice(("tea", "milk", "zurich", "emp-1", "cafe", "nothing"), int(random.integers(0, 3)))
            ),
            where=where,
            scan_limit=int(random.choice([0, 10, 1000])),
        )
        mine, theirs = await valkey.search(scope, query), await sqlite.search(scope, query)
        assert mine.records is not None
        assert theirs.records is not None
        assert [record.id for record in mine.records] == [record.id for record in theirs.records]
        assert mine.scores == (None if theirs.scores is None else pytest.approx(theirs.scores, abs=1e-6))
        assert mine.complete == theirs.complete
        listing = ListQuery(limit=7, now=now, where=where, include_superseded=bool(random.integers(2)))
        pages = [await store.list(scope, listing) for store in (valkey, sqlite)]
        assert [record.id for record in pages[0].records] == [record.id for record in pages[1].records]
        assert (pages[0].total, pages[0].next) == (pages[1].total, pages[1].next)
        assert await valkey.stats(scope, now=now) == await sqlite.stats(scope, now=now)


async def test_searches_go_on_while_the_index_is_gone_and_it_comes_back(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    made = records.many(30)
    await valkey_store.create(made)
    await connection.run(["FT.DROPINDEX", valkey.index_name])
    for record in made[:5]:
        answer = await valkey_store.search(ALICE, StoreQuery(vector=record.embedding, k=3, now=LATER))
        assert answer.records is not None
        assert answer.records[0].id == record.id
        assert len(answer.records) == 3
    await serving(valkey_store)
    before = await _calls(connection, "FT.SEARCH")
    answer = await valkey_store.search(ALICE, StoreQuery(vector=made[9].embedding, k=3, now=LATER))
    assert answer.records is not None
    assert answer.records[0].id == made[9].id
    assert await _calls(connection, "FT.SEARCH") > before


async def test_an_owner_over_the_scan_limit_is_noticed_when_it_shrinks(
    valkey_store: ValkeyStore, records: RecordFactory
) -> None:
    made = records.many(8)
    await valkey_store.create(made)
    query = StoreQuery(vector=made[0].embedding, k=2, now=LATER, scan_limit=5)
    assert not (await valkey_store.search(ALICE, query)).complete
    assert not (await valkey_store.search(ALICE, query)).complete
    await valkey_store.delete(ALICE, Filter(ids=frozenset(record.id for record in made[:3])))
    assert (await valkey_store.search(ALICE, query)).complete


async def test_an_answer_that_still_stands_takes_no_script(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    await valkey_store.create(records.many(3))
    query = StoreQuery(vector=None, k=1, now=LATER, scan_limit=5)
    held = (await valkey_store.search(ALICE, query)).generation
    before = await _calls(connection, "evalsha")
    assert (await valkey_store.search(ALICE, replace_query(query, known_generation=held))).unchanged
    assert await _calls(connection, "evalsha") == before
    await valkey_store.create([records.make()])
    answer = await valkey_store.search(ALICE, replace_query(query, known_generation=held))
    assert (len(answer.records or ()), answer.complete) == (4, True)


async def test_an_owner_over_the_scan_limit_is_counted_again_only_when_it_may_have_shrunk(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    made = records.many(202)
    await valkey_store.create(made)
    query = StoreQuery(vector=None, k=1, now=LATER, scan_limit=200)

    async def counted() -> tuple[int, bool]:
        before = await _calls(connection, "hmget")
        complete = (await valkey_store.search(ALICE, query)).complete
        return await _calls(connection, "hmget") - before, complete

    assert await counted() == (201, False)
    for _ in range(2):
        await valkey_store.create([records.make()])
        assert await counted() == (0, False)
    await valkey_store.create([records.make()])
    assert await counted() == (201, False)
    for record in made[:5]:
        await edit(valkey_store, ALICE, record.id, now=LATER, superseded_by=made[9].id)
    number, complete = await counted()
    assert complete
    assert number > 201


@pytest.mark.parametrize("field", ["record", "content", "embedding"])
@pytest.mark.parametrize("value", [None, b"", b"\xff[", bytes(4)])
async def test_a_row_that_somebody_broke_does_not_take_its_neighbours_from_a_whole_owner(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    connection: Connection,
    valkey: ValkeySettings,
    field: str,
    value: bytes | None,
) -> None:
    made = records.many(3)
    await valkey_store.create(made)
    await valkey_store.touch(ALICE, [made[2].id], now=LATER)
    broken = Keys(valkey.collection_prefix).of_user("alice").memory(made[1].id)
    await connection.run(["HDEL", broken, field] if value is None else ["HSET", broken, field, value])
    answer = await valkey_store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=9))
    counts = {record.id: record.access_count for record in answer.records or ()}
    expected = {made[0].id: 0, made[2].id: 1}
    if (field, value) == ("content", bytes(4)):  # a text like any other
        expected[made[1].id] = 0
    assert counts == expected


async def test_a_memory_that_the_server_lost_is_no_answer_and_no_error(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection, valkey: ValkeySettings
) -> None:
    kept, lost = records.make(), records.make()
    await valkey_store.create([kept, lost])
    await connection.run(["DEL", Keys(valkey.collection_prefix).of_user("alice").memory(lost.id)])
    page = await valkey_store.list(ALICE, ListQuery(limit=9, now=LATER))
    assert ([record.id for record in page.records], page.total) == ([kept.id], 1)
    assert await valkey_store.touch(ALICE, [lost.id], now=LATER) == 0
    assert await valkey_store.get(ALICE, [lost.id], now=LATER) == []
    assert await valkey_store.delete(ALICE, EVERYTHING) == 1
    assert await connection.run(["ZCARD", Keys(valkey.collection_prefix).of_user("alice").ids]) == 0


async def test_a_conflict_of_one_owner_leaves_the_other_owners_of_the_call_written(
    valkey_store: ValkeyStore, records: RecordFactory
) -> None:
    taken = records.make()
    await valkey_store.create([taken])
    hers = records.make(user_id="bob")
    with pytest.raises(MemoryConflict) as caught:
        await valkey_store.create([records.make(), replace(taken, content="x"), hers])
    assert caught.value.ids == (taken.id,)
    assert (await valkey_store.list(ALICE, ListQuery(limit=9, now=LATER))).total == 1
    assert (await valkey_store.list(Scope("bob"), ListQuery(limit=9, now=LATER))).total == 1


async def test_scripts_survive_a_flush_of_the_script_cache(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    await valkey_store.create([records.make()])
    await connection.run(["SCRIPT", "FLUSH"])
    assert len(await valkey_store.create([records.make(), records.make(user_id="bob")])) == 2
    assert (await valkey_store.list(ALICE, ListQuery(limit=9, now=LATER))).total == 2


async def test_database_one_works_or_is_refused_with_the_reason(valkey_server: ValkeySettings) -> None:
    settings = apart(valkey_server).model_copy(update={"database": 1})
    connection = await Connection.open(settings)
    valkey_search = (await ServerFacts.ask(connection)).search == "valkey-search"
    await connection.aclose()
    if not valkey_search:
        with pytest.raises(StoreUnavailable, match="database: 0"):
            await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model="m")
        return
    store = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model="m")
    try:
        record = RecordFactory(store.capabilities).make()
        await store.create([record])
        assert [found.id for found in await store.get(ALICE, [record.id], now=LATER)] == [record.id]
    finally:
        await store.aclose()
        await forget(settings)


async def test_a_server_that_comes_back_is_used_again_without_a_new_store() -> None:
    async with ValkeyServer(args=("--appendonly", "yes", "--appendfsync", "always")) as server:
        store = await ValkeyStore.open(server.settings(timeout=1), dimension=DIMENSION, embedding_model="m")
        make = RecordFactory(store.capabilities)
        try:
            first, second = make.make(), make.make()
            await store.create([first])
            await server.kill()
            with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{server.port}"):
                await store.create([second])
            await server.start()
            await serving(store)
            assert await store.create([second]) == [second.id]
            page = await store.list(ALICE, ListQuery(limit=9, now=LATER))
            assert [record.id for record in page.records] == [second.id, first.id]
        finally:
            await store.aclose()


async def test_at_maxmemory_writes_are_refused_whole_and_deletions_still_work() -> None:
    async with ValkeyServer() as server:
        store = await ValkeyStore.open(server.settings(), dimension=DIMENSION, embedding_model="m")
        connection = await Connection.open(server.settings())
        make = RecordFactory(store.capabilities)
        try:
            record = make.make()
            await store.create([record])
            await connection.run(["CONFIG", "SET", "maxmemory", "1mb"])
            with pytest.raises(StoreUnavailable, match="maxmemory"):
                await store.create([make.make()])
            assert (await store.list(ALICE, ListQuery(limit=9, now=LATER))).total == 1
            assert await store.delete(ALICE, EVERYTHING) == 1
        finally:
            await connection.aclose()
            await store.aclose()


async def test_a_store_opens_on_a_server_at_maxmemory_to_read_and_to_remove() -> None:
    async with ValkeyServer() as server:
        store = await ValkeyStore.open(server.settings(), dimension=DIMENSION, embedding_model="m")
        connection = await Connection.open(server.settings())
        try:
            await store.create([RecordFactory(store.capabilities).make()])
            await connection.run(["CONFIG", "SET", "maxmemory", "1mb"])
            later = await ValkeyStore.open(server.settings(), dimension=DIMENSION, embedding_model="m")
            assert (await later.list(ALICE, ListQuery(limit=9, now=LATER))).total == 1
            assert await later.delete(ALICE, EVERYTHING) == 1
            with pytest.raises(StoreUnavailable, match="maxmemory"):
                await later.check()
            await later.aclose()
        finally:
            await connection.aclose()
            await store.aclose()


async def test_a_user_with_a_password_of_its_own_is_served() -> None:
    async with ValkeyServer() as server:
        administrator = await Connection.open(server.settings())
        await administrator.run(["ACL", "SETUSER", "router", "on", ">secret", "~*", "+@all"])
        await administrator.run(["ACL", "SETUSER", "default", "off"])
        await administrator.aclose()
        settings = server.settings(username="router", password=Secret("secret"))
        store = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model="m")
        try:
            assert await store.create([RecordFactory(store.capabilities).make()])
        finally:
            await store.aclose()


async def _calls(connection: Connection, command: str) -> int:
    """Return how often the server ran a command."""
    reply = await connection.run(["INFO", "commandstats"])
    text = (reply if isinstance(reply, bytes) else b"".join(reply.values())).decode().lower()
    found = [line for line in text.splitlines() if line.startswith(f"cmdstat_{command.lower()}:")]
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in found)


async def _indexings(connection: Connection, valkey: ValkeySettings) -> list[object]:
    """Return what moves in FT.INFO when a row is indexed anew, where the server tells."""
    info = await connection.run(["FT.INFO", valkey.index_name])
    pairs = info if isinstance(info, dict) else dict(zip(info[::2], info[1::2], strict=False))
    return [pairs.get(name) for name in (b"max_doc_id", b"num_docs", b"total_indexing_time")]


async def test_hidden_memories_that_are_nearer_do_not_crowd_out_visible_ones(
    valkey_store: ValkeyStore, records: RecordFactory, connection: Connection
) -> None:
    vector = records.vector("tea")
    hidden = [records.make(embedding=vector, superseded_by="m9") for _ in range(30)]
    hidden += [records.make(embedding=vector, expires_at=LATER) for _ in range(30)]
    seen = records.many(3)
    await valkey_store.create([*hidden, *seen])
    before = await _calls(connection, "FT.SEARCH")
    answer = await valkey_store.search(ALICE, StoreQuery(vector=vector, k=3, now=LATER))
    assert answer.records is not None
    assert {record.id for record in answer.records} == {record.id for record in seen}
    assert await _calls(connection, "FT.SEARCH") - before == 1


@pytest.mark.parametrize("stranger", ["another memory's", "no memory's"])
async def test_a_row_under_another_key_does_not_break_the_search(
    valkey_store: ValkeyStore,
    records: RecordFactory,
    connection: Connection,
    valkey: ValkeySettings,
    stranger: str,
) -> None:
    first, second, gone = records.many(3)
    await valkey_store.create([first, second, gone])
    memory = Keys(valkey.collection_prefix).of_user("alice").memory
    source = second if stranger == "another memory's" else gone
    row = await connection.run(["HGET", memory(source.id), "record"])
    await connection.run(["HSET", memory(first.id), "record", row])
    await valkey_store.delete(ALICE, Filter(ids=frozenset({gone.id})))
    found = await valkey_store.search(ALICE, StoreQuery(vector=second.embedding, k=5, now=NOW))
    assert found.records is not None
    assert sorted(record.id for record in found.records) == sorted({second.id, source.id})

"""The cached store does what the inner one does, and no race, outage or foreign value makes it give an old answer."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from glide import GlideClient, GlideClientConfiguration, NodeAddress
from prometheus_client.parser import text_string_to_metric_families

from memrouter.config.memory import RedisCacheSettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import MemoryStore
from memrouter.stores.cache_server import ValkeyCacheServer
from memrouter.stores.cached import CachedStore
from memrouter.stores.hot_cache import PAUSE_SECONDS, HotCache
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import EVERYTHING, Candidates, Change, Filter, ListQuery, MergeMode, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.valkey import ValkeyServer

ALICE, BOB = Scope("alice"), Scope("bob")
LATER = NOW + 1_000_000
EVERY = StoreQuery(vector=None, k=1, now=LATER, scan_limit=1000)


class Inner(InstrumentedStore):
    """A store that notes how it was searched, and can hold an answer back after it was read."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store, observer=Metrics(), clock=ManualClock())
        self.known: list[int | None] = []
        self.has_read = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        self.known.append(query.known_generation)
        answer = await super().search(scope, query)
        self.has_read.set()
        await self.may_answer.wait()
        return answer


@dataclass(eq=False)
class Router:
    """What one router has: the shared store behind a cache connection and metrics of its own."""

    store: CachedStore
    inner: Inner
    metrics: Metrics
    clock: ManualClock

    async def texts(self, scope: Scope = ALICE, query: StoreQuery = EVERY) -> list[str]:
        return sorted(record.content for record in (await self.store.search(scope, query)).records or ())

    def outcomes(self) -> dict[str, float]:
        """Return how many searches ended in each way since the start."""
        return {
            sample.labels["outcome"]: sample.value
            for family in text_string_to_metric_families(self.metrics.render().decode())
            for sample in family.samples
            if sample.name == "memrouter_cache_searches_total"
        }


NewRouter = Callable[[ValkeyServer], Awaitable[Router]]


async def cached(
    inner: MemoryStore, server: ValkeyServer, *, name: str, metrics: Metrics, clock: ManualClock
) -> CachedStore:
    settings = RedisCacheSettings(enabled=True, address=f"127.0.0.1:{server.port}", key_prefix=f"{name}:")
    hot = HotCache(await ValkeyCacheServer.open(settings), observer=metrics, clock=clock)
    return CachedStore(inner, hot, settings, name=name, observer=metrics)


@pytest.fixture
async def new_router(store: SqliteStore, tmp_path: Path) -> AsyncIterator[NewRouter]:
    """Makes routers on one store and one name in the cache."""
    async with AsyncExitStack() as stack:

        async def made(server: ValkeyServer) -> Router:
            inner, metrics, clock = Inner(store), Metrics(), ManualClock()
            opened = await cached(inner, server, name=str(tmp_path), metrics=metrics, clock=clock)
            stack.push_async_callback(opened.aclose)
            return Router(opened, inner, metrics, clock)

        yield made


@pytest.fixture
async def router(new_router: NewRouter, shared_server: ValkeyServer) -> Router:
    return await new_router(shared_server)


@pytest.fixture
async def raw(shared_server: ValkeyServer) -> AsyncIterator[GlideClient]:
    client = await GlideClient.create(GlideClientConfiguration([NodeAddress("127.0.0.1", shared_server.port)]))
    yield client
    await client.close()


@pytest.fixture
def absent_server(tmp_path: Path) -> ValkeyServer:
    return ValkeyServer(directory=tmp_path, search=False)


def key(tmp_path: Path, scope: Scope = ALICE) -> str:
    return f"{tmp_path}:{{{scope.owner}}}"


@pytest.mark.parametrize("scan_limit", [0, 1000])
async def test_a_second_search_is_a_hit_and_the_same_bit_by_bit(
    router: Router, make: RecordFactory, scan_limit: int
) -> None:
    await router.store.create(make.many(20))
    query = StoreQuery(vector=make.vector("tea"), k=5, now=LATER, words=("fact",), scan_limit=scan_limit)
    first, second = await router.store.search(ALICE, query), await router.store.search(ALICE, query)
    assert router.inner.known == [None, first.generation]
    assert router.outcomes() == {"miss": 1, "hit": 1}
    assert [plain(record) for record in second.records or ()] == [plain(record) for record in first.records or ()]
    assert second.scores == first.scores
    assert (second.complete, second.generation) == (first.complete, first.generation)


async def test_an_answer_too_long_for_the_event_loop_is_a_hit_all_the_same(router: Router, make: RecordFactory) -> None:
    await router.store.create([make.make(f"{number} " + "x" * 8000) for number in range(50)])
    first, second = await router.store.search(ALICE, EVERY), await router.store.search(ALICE, EVERY)
    assert router.outcomes() == {"miss": 1, "hit": 1}
    assert [plain(record) for record in second.records or ()] == [plain(record) for record in first.records or ()]


async def test_an_answer_over_the_bound_is_not_kept(
    router: Router, make: RecordFactory, raw: GlideClient, tmp_path: Path
) -> None:
    await router.store.create([make.make(f"{number} " + "x" * 16_000) for number in range(70)])
    for _ in range(2):
        assert len(await router.texts()) == 70
    assert router.outcomes() == {"miss": 2}
    assert set(await raw.hgetall(key(tmp_path))) <= {b"epoch"}


async def test_a_search_with_a_known_generation_goes_to_the_store_alone(router: Router, make: RecordFactory) -> None:
    await router.store.create(make.many(2))
    answer = await router.store.search(ALICE, EVERY)
    held = replace(EVERY, known_generation=answer.generation)
    assert (await router.store.search(ALICE, held)).unchanged
    await router.store.create(make.many(1))
    assert len((await router.store.search(ALICE, held)).records or ()) == 3
    assert router.outcomes() == {"miss": 1}


async def commit(store: MemoryStore, *put: MemoryRecord, remove: frozenset[str] = frozenset()) -> int | None:
    generation = (await store.search(Scope("alice", None), StoreQuery(vector=None, k=1, now=0))).generation
    return await store.commit(Change("alice", generation, put=put, remove=remove))


Write = Callable[[MemoryStore, RecordFactory, MemoryRecord], Awaitable[object]]
WRITES: dict[str, tuple[Write, list[str]]] = {
    "create": (lambda store, make, old: store.create([make.make("new")]), ["new", "old"]),
    "edit": (lambda store, make, old: edit(store, ALICE, old.id, now=LATER, content="new"), ["new"]),
    "delete": (lambda store, make, old: store.delete(ALICE, Filter(ids=frozenset({old.id}))), []),
    "merge": (
        lambda store, make, old: store.merge([msgspec.structs.replace(old, content="new")], mode=MergeMode.REPLACE),
        ["new"],
    ),
    "commit": (
        lambda store, make, old: commit(store, make.make("new"), remove=frozenset({old.id})),
        ["new"],
    ),
}


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("writer", ["same router", "another router", "router without the cache", "bare store"])
async def test_a_write_that_returned_is_seen_at_once(
    new_router: NewRouter, shared_server: ValkeyServer, absent_server: ValkeyServer, make: RecordFactory,
    store: SqliteStore, writer: str, kind: str,
) -> None:  # fmt: skip
    reader = await new_router(shared_server)
    writers: dict[str, MemoryStore] = {
        "same router": reader.store,
        "another router": (await new_router(shared_server)).store,
        "router without the cache": (await new_router(absent_server)).store,
        "bare store": store,
    }
    old = make.make("old")
    await store.create([old])
    for _ in range(2):
        assert await reader.texts() == ["old"]
    assert reader.outcomes()["hit"] == 1
    write, expected = WRITES[kind]
    await write(writers[writer], make, old)
    for _ in range(2):
        assert await reader.texts() == expected


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("through_the_cache", [True, False])
async def test_a_read_that_began_before_a_write_cannot_put_its_answer_back(
    new_router: NewRouter, shared_server: ValkeyServer, make: RecordFactory, store: SqliteStore, kind: str,
    raw: GlideClient, tmp_path: Path, *, through_the_cache: bool,
) -> None:  # fmt: skip
    slow, other = await new_router(shared_server), await new_router(shared_server)
    old = make.make("old")
    await slow.store.create([old])
    slow.inner.may_answer.clear()
    reading = asyncio.create_task(slow.texts())
    await slow.inner.has_read.wait()
    write, expected = WRITES[kind]
    await write(other.store if through_the_cache else store, make, old)
    slow.inner.may_answer.set()
    assert await reading == ["old"], "it began before the write"
    if through_the_cache:
        assert set(await raw.hgetall(key(tmp_path))) == {b"epoch"}, "the old text is not in the cache either"
    for router in (slow, other, slow, other):
        assert await router.texts() == expected


async def test_the_answers_of_one_router_are_hits_of_another(
    new_router: NewRouter, shared_server: ValkeyServer, make: RecordFactory
) -> None:
    first, second = await new_router(shared_server), await new_router(shared_server)
    await first.store.create([make.make("old")])
    assert await first.texts() == await second.texts() == ["old"]
    assert (first.outcomes(), second.outcomes()) == ({"miss": 1}, {"hit": 1})


async def test_a_forgotten_text_is_not_left_in_the_cache(
    router: Router, make: RecordFactory, raw: GlideClient, tmp_path: Path
) -> None:
    await router.store.create([make.make("walrus"), make.make("walrus", user_id="bob")])
    assert await router.texts() == await router.texts(BOB) == ["walrus"]
    assert any(b"walrus" in value for value in (await raw.hgetall(key(tmp_path))).values())
    await router.store.delete(ALICE, EVERYTHING)
    assert not any(b"walrus" in value for value in (await raw.hgetall(key(tmp_path))).values())
    assert any(b"walrus" in value for value in (await raw.hgetall(key(tmp_path, BOB))).values()), "others keep theirs"
    assert await router.texts() == []


async def test_a_change_that_was_not_made_drops_the_answers_too(
    router: Router, make: RecordFactory, raw: GlideClient, tmp_path: Path
) -> None:
    await router.store.create([make.make("walrus")])
    await router.texts()
    assert await router.store.commit(Change("alice", after=7, put=[make.make("late")])) is None
    assert set(await raw.hgetall(key(tmp_path))) == {b"epoch"}
    assert await router.texts() == ["walrus"]


async def test_the_state_is_that_of_the_store(router: Router, store: SqliteStore) -> None:
    version = await router.store.state.put("space", "key", b"1", now=NOW)
    entry = await store.state.get("space", "key", now=NOW)
    assert entry is not None
    assert entry.version == version


async def test_a_write_that_failed_drops_the_answers_since_it_may_have_been_made(
    router: Router, make: RecordFactory, raw: GlideClient, tmp_path: Path, store: SqliteStore
) -> None:
    await router.store.create([make.make("walrus")])
    await router.texts()
    await store.aclose()
    with pytest.raises(StoreUnavailable):
        await router.store.delete(ALICE, EVERYTHING)
    assert set(await raw.hgetall(key(tmp_path))) == {b"epoch"}
    with pytest.raises(StoreUnavailable):
        await router.texts()


async def test_keys_and_values_name_nobody(
    router: Router, make: RecordFactory, raw: GlideClient, tmp_path: Path
) -> None:
    scope = Scope("somebody", "secret-project")
    await router.store.create([make.make("tea", user_id="somebody", project_id="secret-project")])
    vector = make.vector("tea")
    await router.store.search(scope, replace(EVERY, vector=vector, words=("hidden-word",)))
    found = await raw.hgetall(key(tmp_path, scope))
    assert len(found) == 2
    for field, value in found.items():
        assert len(field) == 64 or field == b"epoch"
        assert b"somebody" not in field + value
        assert b"hidden-word" not in field + value


async def test_a_value_moved_from_another_owner_or_question_is_a_miss(
    router: Router, make: RecordFactory, raw: GlideClient, tmp_path: Path
) -> None:
    await router.store.create([make.make("mine"), make.make("theirs", user_id="bob")])
    await router.texts()
    await router.texts(BOB)
    mine, theirs = [await raw.hgetall(key(tmp_path, scope)) for scope in (ALICE, BOB)]
    (stolen,) = [value for field, value in theirs.items() if field != b"epoch"]
    (field,) = [field for field in mine if field != b"epoch"]
    await raw.hset(key(tmp_path), {field: stolen})
    assert await router.texts() == ["mine"]
    assert router.outcomes() == {"miss": 3}


@pytest.mark.parametrize("damage", [b"", b"\x00" * 16, b"\xff" * 100, b"text", None])
async def test_a_damaged_value_is_a_miss_and_replaced(
    router: Router, make: RecordFactory, raw: GlideClient, tmp_path: Path, damage: bytes | None
) -> None:
    await router.store.create([make.make("mine")])
    await router.texts()
    (field,) = [field for field in await raw.hgetall(key(tmp_path)) if field != b"epoch"]
    if damage is None:
        await raw.set(key(tmp_path), "of another program")
    else:
        await raw.hset(key(tmp_path), {field: damage})
    for _ in range(2):
        assert await router.texts() == ["mine"]
    assert router.outcomes() == {"miss": 2, "hit": 1}


async def test_what_expires_is_gone_from_kept_answers_too(router: Router, make: RecordFactory) -> None:
    await router.store.create([make.make("stays"), make.make("goes", expires_at=LATER + 10)])
    nearest = StoreQuery(vector=make.vector("goes"), k=1, now=LATER)
    for query, after in ((EVERY, ["stays"]), (nearest, ["stays"])):
        before = await router.texts(query=query)
        assert "goes" in before
        assert await router.texts(query=replace(query, now=LATER + 9)) == before
        assert await router.texts(query=replace(query, now=LATER + 10)) == after
    assert router.outcomes() == {"miss": 3, "hit": 3}, "the nearest one has gone, so the next nearest is asked for"


async def test_a_cache_that_dies_and_returns_changes_no_answer(
    new_router: NewRouter, own_server: ValkeyServer, make: RecordFactory
) -> None:
    router = await new_router(own_server)
    await router.store.create([make.make("old")])
    for _ in range(2):
        assert await router.texts() == ["old"]
    await own_server.kill()
    assert await router.texts() == ["old"]
    await router.store.create([make.make("new")])
    for _ in range(3):
        assert await router.texts() == ["new", "old"]
    assert router.outcomes() == {"miss": 1, "hit": 1, "unavailable": 4}
    await own_server.start()
    for _ in range(200):  # the client connects again in its own time
        router.clock.ms += int(PAUSE_SECONDS * 1000)
        assert await router.texts() == ["new", "old"]
        if router.outcomes()["hit"] > 1:
            break
        await asyncio.sleep(0.02)
    assert router.outcomes()["hit"] == 2


async def test_a_frozen_cache_changes_no_answer_even_if_it_missed_a_write(
    new_router: NewRouter, own_server: ValkeyServer, make: RecordFactory
) -> None:
    router = await new_router(own_server)
    old = make.make("old")
    await router.store.create([old])
    for _ in range(2):
        assert await router.texts() == ["old"]
    own_server.pause()
    try:
        async with asyncio.timeout(10):
            await router.store.delete(ALICE, Filter(ids=frozenset({old.id})))
            assert await router.texts() == []
    finally:
        own_server.resume()
    router.clock.ms += int(PAUSE_SECONDS * 1000)
    assert await router.texts() == [], "whatever the cache kept while it missed the write"


async def test_a_router_whose_cache_was_never_there_works(
    new_router: NewRouter, absent_server: ValkeyServer, make: RecordFactory
) -> None:
    router = await new_router(absent_server)
    await router.store.create([make.make("tea")])
    await router.store.check()
    assert await router.texts() == ["tea"]
    assert router.outcomes() == {"unavailable": 1}


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_life_with_many_routers_is_that_of_the_bare_store(
    new_router: NewRouter, shared_server: ValkeyServer, absent_server: ValkeyServer, make: RecordFactory,
    store: SqliteStore, seed: int,
) -> None:  # fmt: skip
    rng = random.Random(seed)
    routers = [await new_router(server) for server in (shared_server, shared_server, absent_server)]
    queries = [
        EVERY,
        replace(EVERY, scan_limit=3, k=3, vector=make.vector("tea")),
        replace(EVERY, scan_limit=0, k=3, words=("fact",)),
    ]
    now = LATER
    for _ in range(150):
        now += rng.choice((0, 1))
        actor, scope = (
            rng.choice(routers).store,
            rng.choice((ALICE, BOB, Scope("alice", "apollo"), Scope("alice", None))),
        )
        page = await store.list(scope, ListQuery(limit=100, now=now))
        some = rng.choice(page.records).id if page.records else "absent"
        match rng.randrange(8):
            case 0:
                expires_at = rng.choice((None, now + 5))
                project = scope.project_id or "default"
                await actor.create([make.make(user_id=scope.user_id, project_id=project, expires_at=expires_at)])
            case 1:
                await edit(actor, scope, some, now=now, importance=rng.random())
            case 2:
                await actor.delete(scope, Filter(ids=frozenset({some})))
            case _:
                query = replace(rng.choice(queries), now=now)
                expected, found = await store.search(scope, query), await actor.search(scope, query)
                assert [plain(record) for record in found.records or ()] == [
                    plain(record) for record in expected.records or ()
                ]
                assert (found.scores, found.generation) == (expected.scores, expected.generation)
    assert routers[0].outcomes()["hit"] > 0

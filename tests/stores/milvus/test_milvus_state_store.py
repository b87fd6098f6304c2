"""``state`` on Milvus: several routers, killed ones, and what is left in the collection."""

import asyncio
from contextlib import suppress

import pytest

from memrouter.config.memory import MilvusSettings
from memrouter.stores.milvus.chain import follow
from memrouter.stores.milvus.connection import Connection, Row
from memrouter.stores.milvus.fact_collection import SUFFIX
from memrouter.stores.milvus.state_store import FORGOTTEN_MS, SWEEP_SECONDS
from memrouter.stores.milvus.store import MilvusStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import NOW

from .conftest import DIMENSION, MODEL, Opened
from .watched import Watched


async def rows(client: Connection, settings: MilvusSettings) -> list[Row]:
    fields = ["key", "name", "kind", "version"]
    return await client.query(settings.collection + SUFFIX, 'key != ""', fields, level="Strong")


async def test_the_collection_is_made_by_the_first_write_and_is_no_link_to_the_memories(
    own_settings: MilvusSettings, client: Connection
) -> None:
    name = own_settings.collection + SUFFIX

    async def there() -> bool:
        return await client.administer(lambda milvus: bool(milvus.has_collection(name)))

    stores = [
        await MilvusStore.open(own_settings, dimension=DIMENSION, embedding_model=MODEL, clock=ManualClock(NOW))
        for _ in range(2)
    ]
    assert await stores[0].state.get("space", "key", now=NOW) is None
    assert not await stores[0].state.remove("space", "key")
    assert not await there()
    given = await asyncio.gather(
        stores[0].state.put("space", "a", b"", now=NOW), stores[1].state.put("space", "b", b"", now=NOW)
    )
    assert None not in given
    assert await there()
    links = await client.administer(lambda milvus: follow(milvus, own_settings.collection))
    assert [link.name for link in links] == [own_settings.collection]
    for store in stores:
        assert sorted([entry.key async for entry in store.state.entries("space", now=NOW)]) == ["a", "b"]
        await store.aclose()


async def test_counts_of_three_routers_at_once_add_up(opened: Opened) -> None:
    stores = [await opened() for _ in range(3)]

    async def count(store: MilvusStore) -> None:
        done = False
        while not done:
            entry = await store.state.get("space", "sum", now=NOW)
            value, version = (0, 0) if entry is None else (int(entry.value), entry.version)
            fresh = str(value + 1).encode()
            done = await store.state.put("space", "sum", fresh, now=NOW, if_version=version) is not None

    await asyncio.gather(*(count(store) for store in stores for _ in range(2)))
    entry = await stores[0].state.get("space", "sum", now=NOW)
    assert entry is not None
    assert entry.value == b"6"


@pytest.mark.parametrize("holder", [False, True], ids=["free", "held"])
async def test_a_router_killed_behind_any_step_leaves_the_old_value_or_its_own(
    opened: Opened, client: Connection, shared_collection: MilvusSettings, holder: bool
) -> None:
    survivor, steps, dead = await opened(waits=False), 1, True
    while dead:
        key = f"key{steps}"
        version = await survivor.state.put("space", key, b"old", now=NOW) if holder else 0
        dying = await opened()
        await dying.state.get("space", key, now=NOW)
        Watched(dying, steps=steps)
        with suppress(RuntimeError):
            assert await dying.state.put("space", key, b"new", now=NOW, if_version=version) is not None
            dead = False
        await survivor.state.put("space", "other", b"", now=NOW)  # waits until the server shows what was inserted
        entry = await survivor.state.get("space", key, now=NOW)
        found = None if entry is None else entry.value
        assert found in ((b"new",) if not dead else (b"new", b"old" if holder else None))
        current = 0 if entry is None else entry.version
        later = await survivor.state.put("space", key, b"later", now=NOW, if_version=current)
        assert later is not None
        assert later > current
        assert await survivor.state.put("space", key, b"stale", now=NOW, if_version=current) is None
        left = [row for row in await rows(client, shared_collection) if row["name"] == key and row["kind"] == "value"]
        assert [row["version"] for row in left] == [later]
        steps += 1
    assert steps > 6


async def test_a_claim_holds_off_the_others_until_it_is_over(
    opened: Opened, client: Connection, shared_collection: MilvusSettings
) -> None:
    dying, clock = await opened(), ManualClock(NOW)
    other = await opened(clock)
    version = await other.state.put("space", "key", b"1", now=NOW)
    Watched(dying, steps=2)
    with suppress(RuntimeError):
        await dying.state.put("space", "key", b"2", now=NOW, if_version=version)
    await other.state.put("space", "else", b"", now=NOW)
    assert [row["kind"] for row in await rows(client, shared_collection) if row["name"] == "key"].count("claim") == 1
    assert await other.state.put("space", "key", b"3", now=NOW, if_version=version) is None
    clock.ms += 60_000
    assert await other.state.put("space", "key", b"3", now=NOW, if_version=version) is not None


async def test_what_is_over_is_removed_with_later_writes_and_nothing_older_comes_back(
    opened: Opened, client: Connection, shared_collection: MilvusSettings
) -> None:
    clock = ManualClock(NOW)
    store, first, second = await opened(clock), await opened(clock), await opened(clock)
    for key in ("gone", "expired", "kept", "ended"):
        await store.state.put("space", key, b"first", now=NOW)
    await first.state.get("space", "key", now=NOW)
    await second.state.get("space", "key", now=NOW)
    Watched(first, steps=4)
    Watched(second, steps=3)
    with pytest.raises(RuntimeError, match="killed"):  # each before it removes what it has replaced
        await first.state.remove("space", "gone")
    with pytest.raises(RuntimeError, match="killed"):
        await second.state.put("space", "expired", b"second", now=NOW, expires_at=NOW + 1)
    await store.state.put("space", "ended", b"second", now=NOW, expires_at=NOW + 1)
    assert len(await rows(client, shared_collection)) == 6
    for passed in (SWEEP_SECONDS * 1000, FORGOTTEN_MS + 1):
        clock.ms += int(passed)
        await store.state.put("space", "kept", b"again", now=clock.ms)
        for key in ("gone", "expired", "ended"):
            assert await store.state.get("space", key, now=clock.ms) is None
    left = await rows(client, shared_collection)
    assert [row["name"] for row in left] == ["kept"]

"""New vectors on Milvus: broken off behind every change, beside a write, in a Go router's collection, and refused."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient

from memrouter.config.memory import MemorySettings, MilvusSettings
from memrouter.errors import ConfigError, SchemaMismatch, StoreUnavailable
from memrouter.stores.embedding_space import kept_space
from memrouter.stores.milvus.chain import POINTER, Link, follow
from memrouter.stores.milvus.connection import Connection, Row
from memrouter.stores.milvus.reindex import MilvusReindexing
from memrouter.stores.query import MergeMode
from memrouter.stores.reindexing import open_reindexing
from memrouter.testing.milvus import elsewhere
from memrouter.transfer.reindex import Reindex

from ..stores.milvus.go_collection import go_row, make_go_collection
from .reindex_cases import LONGER, NEW, OLD, House, Model, Records, Tasks, drop_all, without_vectors

CHANGES = {"create_collection", "create_index", "insert", "delete", "alter_collection_properties", "drop_collection"}


@pytest.fixture
def milvus(milvus_server: MilvusSettings) -> Iterator[MilvusSettings]:
    settings = elsewhere(milvus_server, num_partitions=1)
    yield settings
    asyncio.run(drop_all(settings))


@pytest.fixture
def house(milvus: MilvusSettings) -> House:
    return House(MemorySettings(backend="milvus", milvus=milvus))


@pytest.fixture
async def connection(milvus: MilvusSettings) -> AsyncIterator[Connection]:
    """A connection of the test's own, to look behind a store."""
    connection = await Connection.open(milvus)
    yield connection
    await connection.aclose()


async def links(connection: Connection, settings: MilvusSettings) -> Sequence[Link]:
    return await connection.administer(lambda client: follow(client, settings.collection))


class Dying:
    """A client after so many changes of which the process is dead; the last one was still made."""

    def __init__(self, client: MilvusClient, changes: int) -> None:
        self._client, self._left = client, changes

    def __getattr__(self, name: str) -> Any:
        if self._left <= 0:
            raise OSError("dead")
        inner = getattr(self._client, name)
        if name not in CHANGES:
            return inner

        def change(*args: Any, **options: Any) -> Any:
            result = inner(*args, **options)
            self._left -= 1
            if self._left <= 0:
                raise OSError("dead")
            return result

        return change


async def dies(house: House, model: Model, *, after: int) -> bool:
    """Reindex until so many changes were made; return whether that was before its end."""
    store = await house.reindexing(model)
    assert isinstance(store, MilvusReindexing)
    client = store._connection._client
    store._connection._client = Dying(client, after)  # type: ignore[assignment] # stands for it
    with suppress(StoreUnavailable):
        await Reindex(store, model, progress=Tasks(), step=3).run()
        store._connection._client = client
        await store.aclose()
        return False
    store._connection._client = client
    await store.aclose()
    return True


async def test_it_can_be_broken_off_behind_every_change_and_run_again(
    house: House, milvus: MilvusSettings, connection: Connection
) -> None:
    before = without_vectors(await house.fill(OLD, 5, users=2))
    models, changes = [OLD, NEW], 1
    first = await house.open(OLD)
    while await dies(house, models[1], after=changes):
        served = models[0]
        if kept_space((await links(connection, milvus))[-1].notes) == models[1].space:
            served = models[1]
        assert without_vectors(await house.kept(served)) == before
        with pytest.raises(SchemaMismatch):
            await house.open(models[0] if served is models[1] else models[1])
        assert (await house.reindex(models[1])).memories == 5
        assert without_vectors(await house.kept(models[1])) == before
        pointer, _ = await links(connection, milvus)
        assert POINTER in pointer.notes
        names = await connection.administer(lambda client: list(client.list_collections()))
        assert sum(name.startswith(milvus.collection) for name in names) == 2
        models.reverse()
        changes += 1
    assert changes > 10
    for work in (first.count(None), first.merge([Records(first, OLD).make()], mode=MergeMode.SKIP), first.check()):
        with pytest.raises(SchemaMismatch, match="was reindexed"):  # whichever model it is now
            await work
    await first.aclose()


async def test_a_write_that_a_reindex_overtakes_is_not_acknowledged(house: House, milvus: MilvusSettings) -> None:
    await house.fill(OLD, 2)
    router = await house.open(OLD)
    make = Records(router, OLD)
    store = await house.reindexing(NEW)
    await store.begin()
    inner: Connection = router._connection  # type: ignore[attr-defined] # a Milvus store
    insert = inner.insert

    async def overtaken(collection: str, rows: Sequence[Row]) -> None:
        await insert(collection, rows)
        await store.seal()

    inner.insert = overtaken  # type: ignore[method-assign] # between the write and its second look
    with pytest.raises(StoreUnavailable, match="about to switch"):
        await router.create([make.make(id="overtaken")])
    inner.insert = insert  # type: ignore[method-assign] # as before
    assert await store.abandon()
    await router.aclose()
    await store.aclose()


async def test_memories_of_a_go_router_move_into_a_collection_of_ours(
    house: House, milvus: MilvusSettings, connection: Connection
) -> None:
    def fill(client: MilvusClient) -> None:
        make_go_collection(client, milvus.collection, dimension=16)
        client.insert(milvus.collection, [go_row(number, OLD.vector(str(number))) for number in range(4)])
        client.query(milvus.collection, 'id != ""', output_fields=["count(*)"], consistency_level="Strong")

    await connection.administer(fill, seconds=60)
    store = await house.reindexing(LONGER)
    assert await store.begin()
    with pytest.raises(SchemaMismatch, match=r"under way.*routers with unknown \(16 numbers\)"):
        await house.open(LONGER)
    assert await store.abandon()
    assert kept_space((await links(connection, milvus))[-1].notes) is None
    await store.aclose()
    report = await house.reindex(LONGER)
    assert (report.before.model, report.memories, report.embedded) == ("unknown", 4, 4)
    after = await house.kept(LONGER)
    assert {record.content for record in after.values()} == {f"go fact {number}" for number in range(4)}
    assert {record.access_count for record in after.values()} == set(range(4))


async def test_an_alias_cannot_be_reindexed(house: House, milvus: MilvusSettings, connection: Connection) -> None:
    await house.fill(OLD, 1)
    alias = f"{milvus.collection}_alias"
    await connection.administer(lambda client: client.create_alias(milvus.collection, alias))
    store = await MilvusReindexing.open(milvus.model_copy(update={"collection": alias}), target=NEW.space)
    with pytest.raises(SchemaMismatch, match=r"is an alias.*set global\.stores\.memory\.milvus\.collection"):
        await store.begin()
    await store.aclose()
    await connection.administer(lambda client: client.drop_alias(alias))


async def test_milvus_lite_is_refused_with_the_way_out(tmp_path: Path) -> None:
    settings = MemorySettings(backend="milvus", milvus=MilvusSettings(address=str(tmp_path / "memories.db")))
    with pytest.raises(ConfigError, match="memrouter migrate --from FILE --to COPY"):
        await open_reindexing(settings, target=NEW.space)


async def test_a_collection_that_goes_while_a_router_opens_it_is_looked_for_again(
    house: House, milvus: MilvusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.fill(OLD, 3)
    describe, gone = MilvusClient.describe_collection, iter([True])

    def dropped_before(client: MilvusClient, name: str, *args: Any, **options: Any) -> Any:
        if next(gone, False):
            client.drop_collection(name)
        return describe(client, name, *args, **options)

    monkeypatch.setattr(MilvusClient, "describe_collection", dropped_before)
    store = await house.open(NEW)
    assert store.capabilities.embedding_model == NEW.space.model
    await store.aclose()

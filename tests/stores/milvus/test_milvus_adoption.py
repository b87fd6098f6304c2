"""A collection that the Go router made and filled is read, changed and emptied."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
from msgspec.structs import replace
from pymilvus import MilvusClient

from memrouter.config.memory import MilvusSettings
from memrouter.errors import InvalidRequest
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryType, Scope, Source, Trust, unit
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.query import EVERYTHING, Change, Filter, ListQuery, MergeMode, ScanQuery, StoreQuery
from memrouter.testing.edits import edit
from memrouter.testing.records import RecordFactory, plain, text_vector

from .conftest import DIMENSION, MODEL, milvus_store
from .go_collection import SECOND, go_row, make_go_collection

ALICE = Scope("alice")
LATER = (SECOND + 10_000_000) * 1000


@pytest.fixture
async def adopted(own_settings: MilvusSettings) -> AsyncIterator[MilvusStore]:
    """A store on five memories of alice, one of bob and one that is no memory."""
    connection = await Connection.open(own_settings)

    def fill(client: MilvusClient) -> None:
        make_go_collection(client, own_settings.collection, dimension=DIMENSION)
        rows = [go_row(number, text_vector(str(number), DIMENSION)) for number in range(1, 6)]
        rows[1]["embedding"] = rows[1]["embedding"] * np.float32(3)  # the Go router does not normalise
        rows[2] |= {"metadata": "not json", "memory_type": "unheard of", "source": "somewhere", "project_id": ""}
        rows.append(go_row(6, text_vector("6", DIMENSION), user_id="bob"))
        rows.append(go_row(7, np.zeros(DIMENSION, dtype=np.float32)))
        client.insert(own_settings.collection, rows)
        client.query(own_settings.collection, 'id != ""', output_fields=["count(*)"], consistency_level="Strong")

    await connection.administer(fill, seconds=60)
    await connection.aclose()
    store = await milvus_store(own_settings)
    yield store
    await store.aclose()


def go_id(number: int) -> str:
    return f"7f3c0a52-0000-4000-8000-{number:012d}"


async def test_a_collection_of_the_go_router_is_adopted(adopted: MilvusStore, own_settings: MilvusSettings) -> None:
    assert not adopted.capabilities.exact
    page = await adopted.list(ALICE, ListQuery(limit=10, now=LATER))
    assert [record.id for record in page.records] == [go_id(number) for number in (5, 4, 3, 2, 1)]
    first = page.records[-1]
    assert (first.content, first.type, first.source) == ("go fact 1", MemoryType.SEMANTIC, Source.EXTRACTION)
    assert (first.created_at, first.updated_at) == ((SECOND + 1) * 1000, (SECOND + 1) * 1000)
    assert (first.access_count, first.last_accessed, first.importance) == (1, (SECOND + 1) * 1000, 0.75)
    assert (first.trust, first.embedding_model, first.project_id) == (Trust.MODEL, MODEL, "default")
    third = page.records[2]
    assert (third.type, third.source, third.project_id) == (MemoryType.EPISODIC, Source.EXTRACTION, "default")

    query = StoreQuery(vector=text_vector("2", DIMENSION), k=2, now=LATER)
    near = await adopted.search(ALICE, query)
    assert [record.id for record in near.records or ()][0:1] == [go_id(2)]
    assert near.scores is not None
    assert near.scores[0] == pytest.approx(1.0, abs=1e-5)

    changed = await edit(adopted, ALICE, go_id(1), now=LATER, importance=0.1)
    assert changed is not None
    assert plain(changed) == plain(first) | {"importance": 0.1, "updated_at": LATER}
    assert await adopted.touch(ALICE, [go_id(1), go_id(2)], now=LATER) == 2
    (found,) = await adopted.get(ALICE, [go_id(1)], now=LATER)
    assert (found.importance, found.access_count, found.last_accessed) == (0.1, 2, LATER)
    assert [record.id for record in await adopted.get(Scope("bob"), [go_id(1), go_id(6)], now=LATER)] == [go_id(6)]

    make = RecordFactory(adopted.capabilities)
    twin, fresh = make.make("GO  fact 4"), make.make("new")
    assert await adopted.create([twin, fresh], unique_content=True) == [go_id(4), fresh.id]
    assert [str(outcome) for outcome in await adopted.merge([fresh], mode=MergeMode.SKIP)] == ["kept"]
    with pytest.raises(InvalidRequest, match="user_id has 1024 bytes; this collection keeps at most 256"):
        await adopted.create([make.make(user_id="🧠" * 256)])

    scanned = [record.id async for part in adopted.scan(ScanQuery(page=2)) for record in part.records]
    assert sorted(scanned) == sorted([*(go_id(number) for number in range(1, 7)), fresh.id])
    assert await adopted.count(None) == 7
    assert await adopted.delete(ALICE, Filter(ids=frozenset({go_id(3)}))) == 1
    assert await adopted.delete(ALICE, EVERYTHING) == 5
    assert await adopted.count(None) == await adopted.count("bob") == 1
    again = await milvus_store(own_settings)
    assert (await again.list(ALICE, ListQuery(limit=10, now=LATER))).total == 0
    await again.aclose()


async def test_a_collection_of_the_go_router_takes_commits_and_has_state_beside_it(adopted: MilvusStore) -> None:
    old, gone = await adopted.get(ALICE, [go_id(1), go_id(2)], now=LATER)
    new = RecordFactory(adopted.capabilities).make("new")
    history = (HistoryEntry(LATER, Event.SUPERSEDED, Actor.OWNER, ref=new.id),)
    changed = replace(old, superseded_by=new.id, access_count=0, history=history)
    after = await adopted.commit(Change("alice", after=0, put=[changed, new], remove=frozenset({gone.id})))
    assert after is not None
    assert await adopted.commit(Change("alice", after=0, put=[new])) is None
    kept = {record.id: record for record in await adopted.get(ALICE, [go_id(n) for n in range(1, 6)], now=LATER)}
    assert sorted(kept) == [go_id(number) for number in (1, 3, 4, 5)]
    assert plain(kept[old.id]) == plain(old) | {"superseded_by": new.id, "history": history}
    page = await adopted.list(ALICE, ListQuery(limit=10, now=LATER))
    assert [record.id for record in page.records] == [new.id, *(go_id(number) for number in (5, 4, 3))]
    version = await adopted.state.put("switches", "saving", b"off", now=LATER, if_version=0)
    entry = await adopted.state.get("switches", "saving", now=LATER)
    assert entry is not None
    assert (entry.value, entry.version) == (b"off", version)


async def test_who_looks_with_the_plain_client_finds_the_go_routers_fields(
    store: MilvusStore, make: RecordFactory, client: Connection, shared_collection: MilvusSettings
) -> None:
    record = make.make("likes tea", access_count=4, importance=0.5)
    await store.create([record])
    names = ["id", "content", "user_id", "memory_type", "metadata", "embedding", "access_count", "importance"]
    (row,) = await client.query(
        shared_collection.collection, 'user_id == "alice"', [*names, "created_at", "updated_at"], level="Strong"
    )
    assert (row["id"], row["content"], row["user_id"], row["memory_type"]) == (
        record.id,
        "likes tea",
        "alice",
        "episodic",
    )
    assert (row["access_count"], row["importance"]) == (4, 0.5)
    assert row["created_at"] == row["updated_at"] == record.created_at // 1000
    assert '"project_id":"default"' in row["metadata"]
    assert unit(np.array(row["embedding"])).tobytes() == unit(record.embedding).tobytes()

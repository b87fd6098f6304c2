"""Memories that go from SQLite to Valkey to Milvus and home are the same, and found the same, at every station."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.config.memory import MemorySettings, MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.models.memory import Matrix, MemoryRecord, Scope
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.factory import open_store
from memrouter.stores.query import MergeMode, ScanQuery, StoreQuery
from memrouter.testing.clock import ManualClock
from memrouter.testing.milvus import drop, elsewhere, emptied
from memrouter.testing.record_strategies import identities, memories
from memrouter.testing.records import NOW, RecordFactory, plain, text_vector
from memrouter.testing.valkey import apart, forget, serving
from memrouter.transfer.export_file import FileExport
from memrouter.transfer.format import Filters
from memrouter.transfer.gate import storable
from memrouter.transfer.import_file import FileImport
from memrouter.transfer.importing import Importer
from memrouter.transfer.owners import chosen_owners
from memrouter.transfer.progress import Unseen

ABOUT = Capabilities("any", 16, "test-model", exact=True)
EACH = 60
POLICY = RecallPolicy(limit=10, threshold=0.0, adaptive=False)
QUESTIONS = ("fact number 7", "what is 🧠 about", "0")

Move = Callable[[MemoryStore, MemoryStore], Awaitable[None]]


class Embedder:
    """The model of the memories: a vector depends on the text alone."""

    info = EmbedderInfo(ABOUT.embedding_model, ABOUT.dimension, default_threshold=0.5)

    async def embed(self, texts: Sequence[str]) -> Matrix:
        return np.array([text_vector(text, ABOUT.dimension) for text in texts])

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Stations:
    """Where the servers are."""

    valkey: ValkeySettings
    milvus: MilvusSettings


@pytest.fixture(scope="module")
def milvus(milvus_server: MilvusSettings) -> Iterator[MilvusSettings]:
    settings = elsewhere(milvus_server, index_algorithm="flat")
    yield settings
    asyncio.run(drop(settings))


@pytest.fixture(scope="module")
def stations(valkey_server: ValkeySettings, milvus: MilvusSettings) -> Stations:
    return Stations(valkey_server, milvus)


@st.composite
def odd_memories(draw: st.DrawFn) -> list[MemoryRecord]:
    """Return memories of a few users with every field drawn."""
    users = draw(st.lists(identities(), min_size=1, max_size=3, unique=True))
    drawn = draw(st.lists(memories(ABOUT), max_size=10))
    texts = {memory.content: replace(memory, user_id=draw(st.sampled_from(users))) for memory in drawn}
    odd = {memory.id: memory for memory in texts.values()}.values()
    return [memory if storable(memory) is memory else readable(memory, number) for number, memory in enumerate(odd)]


def plain_memories(users: Sequence[str]) -> list[MemoryRecord]:
    """Return many memories of each user."""
    make = RecordFactory(ABOUT)
    return [make.make(user_id=user, conversation_id="c") for user in users for _ in range(EACH)]


def readable(memory: MemoryRecord, number: int) -> MemoryRecord:
    """Return a memory with a text that a file can bring in, too."""
    content = f"readable {number}"
    return replace(memory, content=content, embedding=text_vector(content, ABOUT.dimension))


async def by_merge(source: MemoryStore, target: MemoryStore) -> None:
    async for page in source.scan(ScanQuery(page=50)):
        await target.merge(page.records, mode=MergeMode.SKIP)


async def by_file(source: MemoryStore, target: MemoryStore) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "memories.ndjson.gz"
        exported = await FileExport(source, Filters(), file, vectors=True, progress=Unseen(), page=50).run(
            resume=False, now=NOW
        )
        importer = Importer(target, Embedder(), mode=MergeMode.SKIP)
        everybody = chosen_owners(only=None, renamed={})
        work = FileImport(importer, ABOUT, claim=everybody, progress=Unseen(), state=None, options="")
        with file.open("rb") as opened:
            report = await work.run(opened, gzipped=True, resume=False, dry_run=False)
    assert report.sha256 == exported.sha256
    assert (report.outcomes.added, report.outcomes.reembedded) == (exported.memories, 0)


@asynccontextmanager
async def journey(stations: Stations) -> AsyncIterator[list[MemoryStore]]:
    """Open the stores on the way, empty."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        own = apart(stations.valkey)
        stack.push_async_callback(forget, own)
        blocks = [
            MemorySettings(sqlite=SqliteSettings(path=str(folder / "begin.db"), synchronous="normal")),
            MemorySettings(backend="valkey", valkey=own),
            MemorySettings(backend="milvus", milvus=stations.milvus),
            MemorySettings(sqlite=SqliteSettings(path=str(folder / "end.db"), synchronous="normal")),
        ]
        stores = []
        for block in blocks:
            if block.backend == "milvus":
                stack.push_async_callback(emptied, stations.milvus)
            store = await open_store(block, dimension=ABOUT.dimension, embedding_model=ABOUT.embedding_model)
            stack.push_async_callback(store.aclose)
            await serving(store)
            stores.append(store)
        yield stores


async def kept(store: MemoryStore) -> list[dict[str, Any]]:
    return [plain(record) async for page in store.scan(ScanQuery()) for record in page.records]


async def found(store: MemoryStore, users: Sequence[str]) -> list[tuple[str, float]]:
    """Return what searches and whole retrievals find, with their scores."""
    return [
        hit
        for user in users
        for question in QUESTIONS
        for limit in (1000, 0)
        for hit in [*await nearest(store, user, question, limit), *await recalled(store, user, question, limit)]
    ]


async def nearest(store: MemoryStore, user: str, question: str, limit: int) -> list[tuple[str, float]]:
    query = StoreQuery(text_vector(question, ABOUT.dimension), k=7, now=NOW + 1, scan_limit=limit)
    answer = await store.search(Scope(user, None), query)
    assert answer.records is not None
    assert answer.scores is not None
    return [(record.id, score) for record, score in zip(answer.records, answer.scores, strict=True)]


async def recalled(store: MemoryStore, user: str, question: str, limit: int) -> list[tuple[str, float]]:
    retriever = Retriever(
        store=store,
        embedder=Embedder(),
        working_set=WorkingSet(max_bytes=0),
        analyzer=Analyzer(),
        clock=ManualClock(NOW + 1),
        scan_limit=limit,
    )
    recall = await retriever.recall(Scope(user, None), question, POLICY)
    return [(hit.record.id, hit.score) for hit in recall.hits]


@pytest.mark.parametrize("move", [by_merge, by_file])
@given(odd=odd_memories())
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
async def test_every_memory_comes_home_from_sqlite_valkey_and_milvus_as_it_left(
    stations: Stations, move: Move, odd: list[MemoryRecord]
) -> None:
    users = sorted({"alice", *(memory.user_id for memory in odd)})
    records = odd + plain_memories(users)
    async with journey(stations) as stores:
        await stores[0].merge(records, mode=MergeMode.SKIP)
        memories, hits = await kept(stores[0]), await found(stores[0], users)
        assert len(memories) == len(records)
        for source, target in pairwise(stores):
            await move(source, target)
            assert await kept(target) == memories
            assert await target.count(None) == len(records)
            again = await found(target, users)
            assert [memory_id for memory_id, _ in again] == [memory_id for memory_id, _ in hits]
            assert [score for _, score in again] == pytest.approx([score for _, score in hits], abs=1e-4)

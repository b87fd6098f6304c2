"""Memories on Milvus, which several routers may share."""

import random
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from memrouter.clock import Clock, SystemClock
from memrouter.config.memory import MilvusSettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.milvus.canary import Canary
from memrouter.stores.milvus.checks import Checks
from memrouter.stores.milvus.collection import Collection, open_collection
from memrouter.stores.milvus.commits import Commits
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.entities import Entities
from memrouter.stores.milvus.fact_collection import FactCollection
from memrouter.stores.milvus.fence import Fence
from memrouter.stores.milvus.finisher import Finisher
from memrouter.stores.milvus.journal import Journal
from memrouter.stores.milvus.reader import OwnerReader
from memrouter.stores.milvus.reads import Reads
from memrouter.stores.milvus.scan import Scan
from memrouter.stores.milvus.search import Search
from memrouter.stores.milvus.state_store import MilvusState
from memrouter.stores.milvus.writes import Writes
from memrouter.stores.query import (
    Candidates,
    Change,
    Filter,
    ListQuery,
    Merged,
    MergeMode,
    Page,
    ScanPage,
    ScanQuery,
    ScopeStats,
    StoreQuery,
)

T = TypeVar("T")


class MilvusStore:
    """Satisfies ``MemoryStore`` with one collection.

    An id is unique for its owner. All that one call of ``create``, ``update``, ``touch`` or ``delete`` changes becomes
    visible in one step, over all owners of the call; ``merge`` does so for some hundred records at a time. A write
    returns when every router sees it at its next read, which takes the server's time tick (200 to 400 ms); reads do
    not wait. How durable a write is that returned, Milvus's log decides.

    Once the collection was reindexed with another model, writes raise ``SchemaMismatch``; so do reads, as soon as the
    old collection is gone.
    """

    def __init__(
        self,
        connection: Connection,
        collection: Collection,
        *,
        capabilities: Capabilities,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        dimension, model = capabilities.dimension, capabilities.embedding_model
        self._connection = connection
        self._capabilities = capabilities
        self._canary = Canary(connection, collection, rng=rng)
        self._fence = Fence(connection, collection, own=EmbeddingSpace(model, dimension))
        reader = OwnerReader(connection, collection, embedding_model=model)
        self._finisher = Finisher()
        journal = Journal(connection, collection, reader, fence=self._fence, clock=clock, rng=rng)
        self._reads = Reads(reader)
        self._search = Search(connection, collection, reader, dimension=dimension)
        entities = Entities(journal, collection.layout)
        checks = Checks(dimension=dimension, embedding_model=model)
        self._writes = Writes(journal, reader, entities, checks)
        self._commits = Commits(journal, reader, entities, checks)
        self._scan = Scan(connection, collection, reader)
        facts = FactCollection(connection, collection.root)
        self._state = MilvusState(facts, finisher=self._finisher, clock=clock, rng=rng)

    @classmethod
    async def open(
        cls,
        settings: MilvusSettings,
        *,
        dimension: int,
        embedding_model: str,
        collection: str | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> "MilvusStore":
        """Connect, and adopt the collection or make it where there is none.

        Args:
            settings: ``global.stores.memory.milvus``.
            dimension: Length of the embedder's vectors.
            embedding_model: Name of the embedder's model.
            collection: Name or alias of another collection than the configured one.
            clock: Tells when something was deleted; None for the machine's.
            rng: Makes keys; None takes a fresh one.

        Raises:
            ConfigError: The address cannot be used, or the client's package is not installed.
            SchemaMismatch: What is stored was made by another model, or is no collection of memories.
            StoreUnavailable: The server cannot be reached, or cannot serve.
        """
        connection = await Connection.open(settings)
        try:
            space = EmbeddingSpace(embedding_model, dimension)
            opened = await open_collection(connection, settings, space, name=collection)
        except BaseException:
            await connection.aclose()
            raise
        capabilities = Capabilities("milvus", dimension, embedding_model, exact=opened.layout.exact)
        return cls(
            connection,
            opened,
            capabilities=capabilities,
            clock=clock or SystemClock(),
            rng=rng or random.SystemRandom(),
        )

    @property
    def capabilities(self) -> Capabilities:
        """See ``MemoryStore.capabilities``."""
        return self._capabilities

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """See ``MemoryStore.create``.

        An id that exists already is no conflict where ``unique_content`` finds the content: a repeated call is
        answered as the first one was.
        """
        return await self._finisher.finish(self._writes.create(tuple(records), unique_content))

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        return await self._read(self._reads.get(scope, ids, now))

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        return await self._read(self._reads.page(scope, query))

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``.

        Raises:
            SchemaMismatch: The query's vector does not fit the store.
        """
        return await self._read(self._search(scope, query))

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """See ``MemoryStore.touch``; where two routers count one memory in the same moment, one count may be lost."""
        return await self._finisher.finish(self._writes.touch(scope, ids, now))

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``; ids of what was deleted are kept for some minutes, texts and vectors are not."""
        return await self._finisher.finish(self._writes.delete(scope, where))

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        return await self._read(self._reads.stats(scope, now))

    async def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``; of the users, not of the memories, the ids are held meanwhile."""
        try:
            async for page in self._scan.pages(query):
                yield page
        except StoreUnavailable:
            await self._fence.check_still_kept()
            raise

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """See ``MemoryStore.merge``; some hundred records in one atomic step."""
        return await self._finisher.finish(self._writes.merge(tuple(records), mode))

    async def commit(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``.

        Where the router was killed before it could take its change back, the change stands, beside that of the other
        router. Writers of the same owner wait for ten seconds then, until it is certain.
        """
        return await self._finisher.finish(self._commits(change))

    @property
    def state(self) -> MilvusState:
        """See ``MemoryStore.state``; kept in a collection of its own, which the first write makes."""
        return self._state

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        return await self._read(self._scan.count(user_id))

    async def check(self) -> None:
        """See ``MemoryStore.check``: writes, finds and deletes an entity.

        Raises:
            SchemaMismatch: The collection was reindexed meanwhile.
        """
        await self._fence.check_still_kept()
        await self._canary.sing()

    async def aclose(self) -> None:
        """See ``MemoryStore.aclose``."""
        await self._finisher.settle()
        await self._connection.aclose()

    async def _read(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a read gives; where it fails since the collection was reindexed, say that."""
        try:
            return await work
        except StoreUnavailable:
            await self._fence.check_still_kept()
            raise

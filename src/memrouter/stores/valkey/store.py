"""Memories on Valkey with the Search module: exact, one owner apart from another, every write one atomic step."""

import random
from collections.abc import AsyncIterator, Sequence

from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.pressure import Pressure
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
from memrouter.stores.valkey.canary import Canary
from memrouter.stores.valkey.commit import Commit
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.fence import Fence
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.legacy import Untagged
from memrouter.stores.valkey.legacy_scan import UntaggedScan
from memrouter.stores.valkey.merge import Merge
from memrouter.stores.valkey.pressure import ask_pressure
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.reads import Reads
from memrouter.stores.valkey.scan import Scan
from memrouter.stores.valkey.search import Search
from memrouter.stores.valkey.state import ValkeyState
from memrouter.stores.valkey.walk import Walker
from memrouter.stores.valkey.writes import Writes


class ValkeyStore:
    """Satisfies ``MemoryStore`` with one server or cluster, which several routers may share.

    An id is unique for its owner: the owner is part of the key. Several owners of one ``create`` are written side by
    side, each all or none. How durable a write is that returned, the server's ``appendonly`` and
    ``appendfsync`` decide. Lists, figures and reads by id never depend on the index. An owner over the scan limit is
    searched for words among its newest 20,000 memories, and is counted again only when it is not larger than it was or
    has grown by 1 % of the limit.
    """

    def __init__(
        self, connection: Connection, index: SearchIndex, canary: Canary, keys: Keys, *, capabilities: Capabilities
    ) -> None:
        dimension, model = capabilities.dimension, capabilities.embedding_model
        self._connection = connection
        self._canary = canary
        self._capabilities = capabilities
        fence = Fence(connection, keys, space=EmbeddingSpace(model, dimension))
        reader = RowReader(dimension=dimension, embedding_model=model, on_foreign=fence.check_still_kept)
        walker = Walker(connection, keys, reader)
        untagged = Untagged(connection, keys, index, reader)
        self._reads = Reads(connection, keys, index, reader=reader, walker=walker, untagged=untagged)
        self._writes = Writes(
            connection,
            keys,
            index,
            untagged=untagged,
            fence=fence,
            dimension=dimension,
            embedding_model=model,
        )
        self._scan = Scan(
            connection,
            keys,
            index,
            reader=reader,
            untagged=UntaggedScan(connection, keys, untagged, dimension=dimension),
        )
        self._merge = Merge(
            connection, keys, index, untagged=untagged, fence=fence, dimension=dimension, embedding_model=model
        )
        self._commit = Commit(
            connection, keys, index, untagged=untagged, fence=fence, dimension=dimension, embedding_model=model
        )
        self._state = ValkeyState(connection, keys)
        self._search = Search(
            connection,
            keys,
            index,
            reader=reader,
            walker=walker,
            reads=self._reads,
            dimension=dimension,
        )

    @classmethod
    async def open(
        cls, settings: ValkeySettings, *, dimension: int, embedding_model: str, rng: random.Random | None = None
    ) -> "ValkeyStore":
        """Connect, and adopt the index or make it where there is none.

        Args:
            settings: ``global.stores.memory.valkey``.
            dimension: Length of the embedder's vectors.
            embedding_model: Name of the embedder's model.
            rng: Names the canaries; None takes a fresh one.

        Raises:
            ConfigError: The prefix cannot be used, or the client's package is not installed.
            SchemaMismatch: What is stored was made by another model or with other settings; the message has the fix.
            StoreUnavailable: The server cannot be reached, or cannot serve.
        """
        keys = Keys(settings.collection_prefix)
        connection = await Connection.open(settings)
        try:
            index = SearchIndex(connection, settings, dimension=dimension, embedding_model=embedding_model)
            state = await index.ensure()
            canary = Canary(connection, index, rng=rng or random.Random())
            await canary.sing_unless_full()
        except BaseException:
            await connection.aclose()
            raise
        graph = settings.index_algorithm == "hnsw" if state.algorithm is None else state.algorithm == "HNSW"
        capabilities = Capabilities("valkey", dimension, embedding_model, exact=not graph)
        return cls(connection, index, canary, keys, capabilities=capabilities)

    @property
    def capabilities(self) -> Capabilities:
        """See ``MemoryStore.capabilities``."""
        return self._capabilities

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """See ``MemoryStore.create``.

        An id that exists already is no conflict where ``unique_content`` finds the content: a repeated call is
        answered as the first one was.
        """
        return await self._writes.create(tuple(records), unique_content)

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        return await self._reads.get(scope, ids, now)

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        return await self._reads.page(scope, query)

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``.

        Raises:
            SchemaMismatch: The query's vector does not fit the store.
        """
        return await self._search(scope, query)

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """See ``MemoryStore.touch``."""
        return await self._writes.touch(scope, ids, now)

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``."""
        return await self._writes.delete(scope, where)

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        return await self._reads.stats(scope, now)

    def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``; of the users, not of the memories, the keys are held meanwhile."""
        return self._scan.pages(query)

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """See ``MemoryStore.merge``; the memories of an owner are written in atomic steps of some hundred."""
        return await self._merge(tuple(records), mode)

    async def commit(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``; one of 300 memories holds the server up for some 15 ms."""
        return await self._commit(change)

    @property
    def state(self) -> ValkeyState:
        """See ``MemoryStore.state``."""
        return self._state

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        return await self._scan.count(user_id)

    async def check(self) -> None:
        """See ``MemoryStore.check``: writes, finds and deletes a row, and says so while the index is being filled."""
        await self._canary.check()

    async def pressure(self) -> Pressure | None:
        """See ``Pressured.pressure``."""
        return await ask_pressure(self._connection)

    async def aclose(self) -> None:
        """See ``MemoryStore.aclose``."""
        await self._connection.aclose()

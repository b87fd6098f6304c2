"""What the tests of reindexing share: models that differ in their vectors alone, and a store with memories of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from memrouter.config.memory import MemorySettings, MilvusSettings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.models.memory import Matrix, MemoryRecord
from memrouter.stores.base import MemoryStore
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.factory import open_store
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.query import ScanQuery
from memrouter.stores.reindexing import Reindexing, open_reindexing
from memrouter.stores.valkey.reindex import ValkeyReindexing
from memrouter.testing.records import RecordFactory, plain, text_vector
from memrouter.transfer.reindex import Reindex, ReindexReport


class Model:
    """An embedder whose vectors depend on its name and the text; those of two models are as good as unrelated."""

    def __init__(self, name: str, dimension: int = 16) -> None:
        self.info = EmbedderInfo(name, dimension, default_threshold=0.5)

    @property
    def space(self) -> EmbeddingSpace:
        return EmbeddingSpace(self.info.model, self.info.dimension)

    async def embed(self, texts: Sequence[str]) -> Matrix:
        return np.array([self.vector(text) for text in texts], dtype=np.float32)

    async def aclose(self) -> None:
        """Do nothing."""

    def vector(self, text: str) -> Matrix:
        return text_vector(f"{self.info.model}\0{text}", self.info.dimension)


OLD = Model("model-a")
NEW = Model("model-b")
LONGER = Model("model-c", dimension=24)


class Records(RecordFactory):
    """Makes memories with vectors of a model."""

    def __init__(self, store: MemoryStore, model: Model) -> None:
        super().__init__(store.capabilities)
        self._model = model

    def vector(self, text: str) -> Matrix:
        return self._model.vector(text)


@dataclass
class Tasks:
    """Satisfies ``Progress``: keeps the names of the tasks."""

    begun: list[str] = field(default_factory=list)

    def begin(self, task: str, *, total: int | None) -> None:
        del total
        self.begun.append(task)

    def advance(self, count: int) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class House:
    """A store that is opened and closed as routers and commands do it."""

    settings: MemorySettings

    async def open(self, model: Model) -> MemoryStore:
        return await open_store(self.settings, dimension=model.info.dimension, embedding_model=model.info.model)

    async def reindexing(self, model: Model) -> Reindexing:
        if self.settings.backend == "valkey" and self.settings.valkey is not None:
            return await ValkeyReindexing.open(self.settings.valkey, target=model.space, grace=0)
        return await open_reindexing(self.settings, target=model.space)

    async def fill(self, model: Model, number: int, *, users: int = 3) -> dict[str, MemoryRecord]:
        """Store memories of several users and return them by id."""
        store = await self.open(model)
        make = Records(store, model)
        records = [make.make(user_id=f"user {place % users}") for place in range(number)]
        await store.create(records)
        await store.aclose()
        return {record.id: record for record in records}

    async def reindex(self, model: Model, *, step: int = 1000) -> ReindexReport:
        store = await self.reindexing(model)
        try:
            return await Reindex(store, model, progress=Tasks(), step=step).run()
        finally:
            await store.aclose()

    async def kept(self, model: Model) -> dict[str, MemoryRecord]:
        """Return all memories, each of which must have the model's vector of its text."""
        store = await self.open(model)
        pages = [page async for page in store.scan(ScanQuery())]
        await store.aclose()
        found = [record for page in pages for record in page.records]
        assert len({record.id for record in found}) == len(found)
        for record in found:
            assert record.embedding_model == model.info.model
            assert record.embedding.tobytes() == model.vector(record.content).tobytes()
        return {record.id: record for record in found}


def without_vectors(records: Mapping[str, MemoryRecord]) -> dict[str, dict[str, object]]:
    """Return everything that a reindex must not change."""
    left_out = {"embedding", "embedding_model"}
    return {
        key: {name: value for name, value in plain(record).items() if name not in left_out}
        for key, record in records.items()
    }


async def drop_all(settings: MilvusSettings) -> None:
    """Remove a collection and what a reindex has made beside it."""
    connection = await Connection.open(settings)
    try:
        names = await connection.administer(lambda client: list(client.list_collections()))
        for name in names:
            if name.startswith(settings.collection):
                await connection.administer(lambda client, name=name: client.drop_collection(name))  # type: ignore[misc] # mypy cannot infer a lambda with a default
    finally:
        await connection.aclose()

"""New vectors for a whole collection, made in another one beside it that then takes its place."""

import hashlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from memrouter.clock import Clock, SystemClock
from memrouter.config.memory import MilvusSettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Matrix, MemoryRecord
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import (
    DIMENSION,
    MODEL,
    PHASE,
    TARGET_DIMENSION,
    TARGET_MODEL,
    EmbeddingSpace,
    Phase,
    check_begun,
    check_target,
    kept_space,
    under_way,
)
from memrouter.stores.milvus.address import SECTION
from memrouter.stores.milvus.chain import BESIDE, MOVED_TO, Link, follow, properties_of, retire
from memrouter.stores.milvus.collection import MAKE_SECONDS, Collection, open_collection
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.keeping import Equal, Keeping, groups
from memrouter.stores.milvus.outline import Side, difference
from memrouter.stores.milvus.schema import layout_of
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.query import MergeMode
from memrouter.stores.reindexing import Batch, Survey, Text

if TYPE_CHECKING:
    from pymilvus import MilvusClient

UNKNOWN_MODEL: Final = "unknown"
"""Stands for the model of vectors that a Go router has left and that no memrouter has used."""

_DIGEST_CHARS: Final = 10
_NO_REINDEX: Final = {TARGET_MODEL: "", TARGET_DIMENSION: "", PHASE: ""}


class MilvusReindexing:
    """Satisfies ``Reindexing`` with one server.

    The copy is the state: whatever a memory of the old collection has that the copy has not is made up for, so that a
    run can be broken off anywhere. The switch is one property of the old collection. Vectors of two models are never
    in one collection.

    Args:
        connection: Runs the calls; closed by ``aclose``.
        settings: ``global.stores.memory.milvus``.
        target: The space of the new vectors.
        clock: Tells when something was deleted.
        rng: Makes keys.
    """

    def __init__(
        self,
        connection: Connection,
        settings: MilvusSettings,
        *,
        target: EmbeddingSpace,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._connection = connection
        self._settings = settings.model_copy(update={"dimension": None})  # that of the old vectors
        self._target = target
        self._clock = clock
        self._rng = rng
        self._root = settings.collection
        self._beside = _name_beside(settings.collection, target)
        self._place = f"collection {self._root} of Milvus at {connection.place}"
        self._equal: dict[str, Equal] = {}
        self._made: Collection | None = None

    @classmethod
    async def open(
        cls,
        settings: MilvusSettings,
        *,
        target: EmbeddingSpace,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> "MilvusReindexing":
        """Connect to a server; Milvus Lite cannot do what this needs.

        Args:
            settings: ``global.stores.memory.milvus``.
            target: The space of the new vectors.
            clock: Tells when something was deleted; None for the machine's.
            rng: Makes keys; None takes a fresh one.

        Raises:
            ConfigError: The address cannot be used, or the client's package is not installed.
            StoreUnavailable: The server cannot be reached.
        """
        connection = await Connection.open(settings)
        return cls(connection, settings, target=target, clock=clock or SystemClock(), rng=rng or random.SystemRandom())

    async def survey(self) -> Survey:
        """See ``Reindexing.survey``."""
        links = await self._links()
        if not links:
            return Survey(None, None, 0, 0)
        reindex = under_way(links[-1].notes)
        old = await self._old(links[-1])
        memories = made = 0
        if reindex is None or reindex.target != self._target or not await self._there(self._beside):
            return Survey(_kept(links[-1]), reindex, await old.count(), made)
        copy = await self._copy()
        for users in groups(await old.users()):
            theirs, ours = await old.outlines(users), await copy.outlines(users)
            memories += sum(len(outline.records) for outline in theirs.values())
            made += sum(len(theirs[user].records) - len(difference(theirs[user], ours[user]).embed) for user in users)
        return Survey(_kept(links[-1]), reindex, memories, made)

    async def begin(self) -> bool:
        """See ``Reindexing.begin``; what an earlier run has left behind its switch is removed.

        Raises:
            SchemaMismatch: Also where an alias is configured: its collection cannot be replaced.
        """
        links = await self._links()
        if not links:
            return False
        current = links[-1]
        check_target(current.notes, target=self._target, place=self._place)
        if under_way(current.notes) is None:
            if _kept(current) == self._target:
                await self.finish()
                return False
            await self._begin(current)
            check_target((await self._current()).notes, target=self._target, place=self._place)
        await self._copy()
        return True

    async def pending(self, *, step: int) -> AsyncIterator[Batch]:
        """See ``Reindexing.pending``; what differs in other fields than the text is made equal on the way."""
        keeping = await self._keeping(await self._begun())
        async for looked in keeping.pass_over_all():
            fine = looked.memories - len(looked.embed)
            for first in range(0, max(1, len(looked.embed)), step):
                part = looked.embed[first : first + step]
                yield Batch(len(part) + (0 if first else fine), await keeping.texts(part))

    async def put(self, texts: Sequence[Text], vectors: Matrix) -> int:
        """See ``Reindexing.put``."""
        old, fresh = await self._old(await self._begun()), await self._fresh()
        wanted: dict[str, dict[str, tuple[str, Matrix]]] = {}
        for text, vector in zip(texts, vectors, strict=True):
            memory_id, _, user = text.key.partition("\0")
            wanted.setdefault(user, {})[memory_id] = text.content, vector
        records: list[MemoryRecord] = []
        for user, ids in wanted.items():
            for record in await old.records(user, ids.keys()):
                content, vector = ids[record.id]
                if record.content == content:
                    records.append(replace(record, embedding=vector, embedding_model=self._target.model))
        await fresh.merge(records, mode=MergeMode.REPLACE)
        return len(records)

    async def seal(self) -> None:
        """See ``Reindexing.seal``: a router looks again behind each write, and does not say that it is kept."""
        await self._note((await self._begun()).name, {PHASE: Phase.SEALED})

    async def switch(self) -> int | None:
        """See ``Reindexing.switch``; only what has changed since it was found equal is compared again."""
        current = await self._begun()
        keeping = await self._keeping(current)
        await keeping.old.settle()
        memories = 0
        async for looked in keeping.pass_over_all():
            if looked.embed:
                return None
            memories += looked.memories
        await self._note(current.name, {MOVED_TO: self._beside})
        return memories

    async def finish(self) -> None:
        """See ``Reindexing.finish``: the old collection goes, and a pointer takes its place under its name."""
        await self._connection.administer(lambda client: retire(client, self._root), seconds=MAKE_SECONDS)

    async def abandon(self) -> bool:
        """See ``Reindexing.abandon``."""
        links = await self._links()
        reindex = under_way(links[-1].notes) if links else None
        if reindex is None:
            return False
        current = links[-1]
        unnamed = _kept(current).model == UNKNOWN_MODEL
        await self._drop(_name_beside(self._root, reindex.target))
        await self._note(current.name, _NO_REINDEX | ({MODEL: "", DIMENSION: ""} if unnamed else {}))
        return True

    async def aclose(self) -> None:
        """See ``Reindexing.aclose``."""
        await self._connection.aclose()

    async def _begin(self, current: Link) -> None:
        if current.description.get("collection_name") != current.name:
            raise SchemaMismatch(
                f"{self._place}: the name is an alias, whose collection cannot be replaced; set {SECTION}.collection "
                "to the name of the collection itself, here and for every router"
            )
        await self._old(current)  # sees that it is one of memories
        await self._drop(self._beside)
        kept = _kept(current)
        space = {MODEL: kept.model, DIMENSION: str(kept.dimension)}
        target = {TARGET_MODEL: self._target.model, TARGET_DIMENSION: str(self._target.dimension)}
        await self._note(current.name, {**space, **target, PHASE: Phase.FILLING})

    async def _links(self) -> Sequence[Link]:
        return await self._connection.administer(lambda client: follow(client, self._root), seconds=MAKE_SECONDS)

    async def _current(self) -> Link:
        links = await self._links()
        if not links:
            raise StoreUnavailable(f"{self._place} is gone")
        return links[-1]

    async def _begun(self) -> Link:
        """Return the collection that is being reindexed."""
        current = await self._current()
        check_begun(current.notes, target=self._target, place=self._place)
        return current

    async def _there(self, name: str) -> bool:
        return await self._connection.administer(lambda client: bool(client.has_collection(name)))

    async def _drop(self, name: str) -> None:
        self._made = None
        self._equal.clear()

        def drop(client: "MilvusClient") -> None:
            if client.has_collection(name):
                client.drop_collection(name)

        await self._connection.administer(drop, seconds=MAKE_SECONDS)

    async def _note(self, name: str, notes: Mapping[str, str]) -> None:
        values = properties_of(notes)
        await self._connection.administer(lambda client: client.alter_collection_properties(name, values))

    async def _old(self, link: Link) -> Side:
        layout = layout_of(link.description, {}, place=self._place)
        await self._connection.administer(lambda client: client.load_collection(link.name), seconds=MAKE_SECONDS)
        return Side(self._connection, Collection(link.name, layout, self._root), model=_kept(link).model)

    async def _opened(self) -> Collection:
        """Return the collection of the new vectors, which is made where it is not there."""
        if self._made is None:
            self._made = await open_collection(self._connection, self._settings, self._target, name=self._beside)
        return self._made

    async def _copy(self) -> Side:
        return Side(self._connection, await self._opened(), model=self._target.model)

    async def _keeping(self, current: Link) -> Keeping:
        return Keeping(await self._old(current), await self._copy(), await self._fresh(), self._equal)

    async def _fresh(self) -> MilvusStore:
        """Return the store of the new vectors."""
        space = Capabilities("milvus", self._target.dimension, self._target.model, exact=False)
        return MilvusStore(self._connection, await self._opened(), capabilities=space, clock=self._clock, rng=self._rng)


def _kept(link: Link) -> EmbeddingSpace:
    """Return whose vectors a collection keeps."""
    layout = layout_of(link.description, {}, place=f"collection {link.name}")
    return kept_space(link.notes) or EmbeddingSpace(UNKNOWN_MODEL, layout.dimension)


def _name_beside(root: str, target: EmbeddingSpace) -> str:
    digest = hashlib.sha256(f"{target.model}\0{target.dimension}".encode()).hexdigest()
    return f"{root}{BESIDE}{digest[:_DIGEST_CHARS]}"

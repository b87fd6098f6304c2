"""New vectors for a whole key space, made in side keys that no index covers, then moved into the memories."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from memrouter.config.memory import ValkeySettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Matrix
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
    switch_has_begun,
    under_way,
)
from memrouter.stores.reindexing import Batch, Survey, Text
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import MAX_TRIES, SearchIndex
from memrouter.stores.valkey.keys import Keys, OwnerKeys
from memrouter.stores.valkey.rebuild import POLL_SECONDS, Rebuild
from memrouter.stores.valkey.reindex_scripts import LOOK, MOVE, NOTE, PUT
from memrouter.stores.valkey.schema import LEGACY_FORMAT
from memrouter.stores.valkey.scripts import Arg, LuaScript, ScriptCall
from memrouter.stores.vectors import to_bytes

STEP: Final = 100
"""Memories that one script looks at or moves: a millisecond of the server's time, 1.6 MB of text at most."""

UNKNOWN_MODEL: Final = "unknown"
"""Stands for the model of vectors that a Go router has left and that no memrouter has used."""

_OWNERS_AT_ONCE: Final = 256


class ValkeyReindexing:
    """Satisfies ``Reindexing`` with one server or cluster.

    Until the switch the memories and their index are not touched. The switch writes down the new model first: from
    then on a router of the old model reads no memory that has moved and writes none. The index is dropped, the vectors
    are moved owner after owner (an owner's steps are atomic and raise the generation), and the index is made anew;
    routers of the new model may start as soon as it is there, and search without it until it is filled.

    Memories of a Go router are moved to their owners' keys first, as ``memrouter index rebuild`` does.

    Run again after a reindex, it finds what an older version of memrouter or, in a cluster, a router that stood still
    for longer than its timeout has written with an old vector, and mends that.
    """

    def __init__(
        self, connection: Connection, settings: ValkeySettings, *, target: EmbeddingSpace, grace: float | None = None
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._target = target
        self._keys = Keys(settings.collection_prefix)
        self._index = SearchIndex(connection, settings, dimension=target.dimension, embedding_model=target.model)
        self._place = f"Valkey at {connection.place}"
        self._grace = settings.timeout if grace is None else grace
        self._mending = False

    @classmethod
    async def open(
        cls, settings: ValkeySettings, *, target: EmbeddingSpace, grace: float | None = None
    ) -> "ValkeyReindexing":
        """Connect.

        Args:
            settings: ``global.stores.memory.valkey``.
            target: The space of the new vectors.
            grace: Seconds that writes which a cluster let through are given to arrive; None: the timeout of a router.

        Raises:
            ConfigError: The prefix cannot be used, or the client's package is not installed.
            SchemaMismatch: The store was written by a newer version.
            StoreUnavailable: The server cannot be reached, or cannot serve.
        """
        connection = await Connection.open(settings)
        try:
            reindexing = cls(connection, settings, target=target, grace=grace)
            await reindexing._index.check_server()
            reindexing._index.check_format(await reindexing._index.meta())
        except BaseException:
            await connection.aclose()
            raise
        return reindexing

    async def survey(self) -> Survey:
        """See ``Reindexing.survey``."""
        notes = await self._index.meta()
        memories = made = 0
        async for owners in self._owners():
            counts = await self._connection.pipeline(
                [command for owner in owners for command in (["ZCARD", owner.ids], ["HLEN", owner.next_vectors])]
            )
            memories += sum(counts[::2])
            made += sum(counts[1::2])
        kept = kept_space(notes)
        if self._may_be_legacy(notes):
            memories += await self._untagged()
            kept = kept or await self._indexed_space()
        return Survey(kept, under_way(notes), memories, made)

    async def begin(self) -> bool:
        """See ``Reindexing.begin``."""
        notes = await self._index.meta()
        check_target(notes, target=self._target, place=self._place)
        if under_way(notes) is not None:
            return True
        if self._may_be_legacy(notes):
            await self._adopt()
            notes = await self._index.meta()
        kept = kept_space(notes)
        if kept is None:
            await self._index.claim(legacy=False)
            return False
        if kept == self._target:
            self._mending = await self._any_left()
            return self._mending
        target = (TARGET_MODEL, self._target.model, TARGET_DIMENSION, str(self._target.dimension))
        await self._note("", *target, PHASE, Phase.FILLING)
        check_target(await self._index.meta(), target=self._target, place=self._place)
        return True

    async def pending(self, *, step: int) -> AsyncIterator[Batch]:
        """See ``Reindexing.pending``; newest first within an owner."""
        async for owners, replies in self._walk(LOOK, step=step):
            texts = [
                Text(f"{owner.base}{memory_id.decode()}", content.decode())
                for owner, (*_, found) in zip(owners, replies, strict=True)
                for memory_id, content in zip(found[::2], found[1::2], strict=True)
            ]
            yield Batch(sum(reply[2] for reply in replies), texts)

    async def put(self, texts: Sequence[Text], vectors: Matrix) -> int:
        """See ``Reindexing.put``."""
        await self._check_begun()
        groups: dict[str, list[Arg]] = {}
        for text, vector in zip(texts, vectors, strict=True):
            owner, memory_id = self._owner_and_id(text.key)
            digest = hashlib.sha1(text.content.encode(), usedforsecurity=False).hexdigest()
            groups.setdefault(owner, []).extend((memory_id, digest, to_bytes(vector, dimension=self._target.dimension)))
        calls = []
        for owner, args in groups.items():
            keys = self._keys.of(owner)
            parts = (args[first : first + 3 * STEP] for first in range(0, len(args), 3 * STEP))
            calls += [ScriptCall(PUT, [keys.next_vectors], [keys.base, *part]) for part in parts]
        return sum(await self._connection.scripts(calls))

    async def seal(self) -> None:
        """See ``Reindexing.seal``.

        On one server a write that is not done by now is refused. In a cluster it may have been let through and be
        under way to another node: those are waited for, as long as a router waits for an answer.
        """
        if self._mending:
            return
        await self._check_begun()
        if await self._note(Phase.FILLING, PHASE, Phase.SEALED) and self._connection.cluster:
            await asyncio.sleep(self._grace)

    async def switch(self) -> int | None:
        """See ``Reindexing.switch``."""
        if self._mending:
            return await self._move()
        await self._check_begun()
        phase = (await self._index.meta()).get(PHASE)
        if phase != Phase.SWITCHING:
            if await self._any_left():
                return None
            space = (MODEL, self._target.model, DIMENSION, str(self._target.dimension))
            await self._note(Phase.SEALED, *space, PHASE, Phase.SWITCHING)
        await self._index.drop()
        moved = await self._move()
        if moved is not None:
            await self._make_index()
            await self._forget()
        return moved

    async def finish(self) -> None:
        """See ``Reindexing.finish``; returns when the new index is filled."""
        await self._sweep()
        while (state := await self._index.recreate_if_missing()).backfilling:
            if state.paused:
                raise StoreUnavailable(state.trouble)
            await asyncio.sleep(POLL_SECONDS)

    async def abandon(self) -> bool:
        """See ``Reindexing.abandon``."""
        reindex = under_way(await self._index.meta())
        if reindex is None:
            return False
        if reindex.phase is Phase.SWITCHING:
            raise SchemaMismatch(switch_has_begun(reindex, place=self._place))
        await self._forget()
        await self._sweep()
        return True

    async def aclose(self) -> None:
        """See ``Reindexing.aclose``."""
        await self._connection.aclose()

    async def _owners(self, *, at_once: int = _OWNERS_AT_ONCE) -> AsyncIterator[list[OwnerKeys]]:
        """Yield the keys of all owners that have memories, some at a time."""
        found: set[str] = set()
        async for keys in self._connection.scan(self._keys.owners_pattern, kind="zset"):
            found.update(owner for key in keys if (owner := self._keys.owner_of(key)) is not None)
        owners = sorted(found)
        for first in range(0, len(owners), at_once):
            yield [self._keys.of(owner) for owner in owners[first : first + at_once]]

    async def _walk(self, script: LuaScript, *, step: int) -> AsyncIterator[tuple[list[OwnerKeys], list[Any]]]:
        """Yield owners and what the script gave for the next memories of each, until all were seen."""
        size = min(step, STEP)
        space: tuple[Arg, Arg] = (self._target.model, 4 * self._target.dimension)
        async for owners in self._owners(at_once=max(1, step // STEP)):
            left: list[tuple[OwnerKeys, bytes, bytes]] = [(owner, b"", b"0") for owner in owners]
            while left:
                calls = [
                    ScriptCall(
                        script,
                        [owner.ids, owner.next_vectors, owner.generation],
                        [owner.base, memory_id, created_at, size, *space],
                    )
                    for owner, memory_id, created_at in left
                ]
                replies = await self._connection.scripts(calls)
                yield [owner for owner, *_ in left], replies
                left = [
                    (owner, reply[0], reply[1])
                    for (owner, *_), reply in zip(left, replies, strict=True)
                    if reply[2] == size
                ]

    async def _any_left(self) -> bool:
        async for _, replies in self._walk(LOOK, step=10 * STEP):
            if any(reply[3] for reply in replies):
                return True
        return False

    async def _move(self) -> int | None:
        done = left = 0
        async for _, replies in self._walk(MOVE, step=10 * STEP):
            done += sum(reply[3] for reply in replies)
            left += sum(reply[4] for reply in replies)
        return None if left else done

    async def _make_index(self) -> None:
        for _ in range(MAX_TRIES):  # a router of the old model may have made one of its own in between
            if await self._index.create():
                return
            await self._index.drop()
        raise StoreUnavailable(f"{self._place}: the search index is made by somebody else again and again")

    async def _forget(self) -> None:
        await self._connection.run(["HDEL", self._keys.meta, TARGET_MODEL, TARGET_DIMENSION, PHASE])

    async def _sweep(self) -> None:
        """Remove vectors that were made and not moved."""
        async for keys in self._connection.scan(self._keys.next_pattern):
            await self._connection.pipeline([["UNLINK", key] for key in keys])

    async def _note(self, phase: str, *pairs: str) -> bool:
        return bool(await self._connection.script(NOTE, [self._keys.meta], [phase, *pairs]))

    async def _check_begun(self) -> None:
        if not self._mending:
            check_begun(await self._index.meta(), target=self._target, place=self._place)

    async def _untagged(self) -> int:
        found = 0
        async for keys in self._connection.scan(self._keys.pattern):
            found += sum(self._keys.is_untagged(key) for key in keys)
        return found

    async def _adopt(self) -> None:
        """Move memories of a Go router to their owners' keys, with the vectors that they have."""
        space = kept_space(await self._index.meta()) or await self._indexed_space()
        if space is None:
            if await self._untagged():
                raise SchemaMismatch(
                    f"{self._place} has memories without a search index and does not tell which model's vectors they "
                    "have; with the configuration of the router that made them, run: memrouter index create"
                )
            return
        index = SearchIndex(self._connection, self._settings, dimension=space.dimension, embedding_model=space.model)
        await Rebuild(self._connection, index, embedding_model=space.model, on_progress=lambda _: None).run()

    async def _indexed_space(self) -> EmbeddingSpace | None:
        found = await self._index.find()
        dimension = found.vector.dimension if found is not None and found.vector is not None else None
        return None if dimension is None else EmbeddingSpace(UNKNOWN_MODEL, dimension)

    def _owner_and_id(self, key: str) -> tuple[str, str]:
        found = self._keys.parse(key.encode())
        if found is None:
            msg = "not a key that pending gave out"
            raise ValueError(msg)
        return found

    @staticmethod
    def _may_be_legacy(notes: dict[str, str]) -> bool:
        return notes.get("format", LEGACY_FORMAT) == LEGACY_FORMAT

"""The life of the search index: found or made, held against the configuration, watched, made again when dropped."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from memrouter.config.memory import ValkeySettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.stores.embedding_space import EmbeddingSpace, check_space, check_still_kept
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.index_info import FoundIndex, as_mapping, parse_info
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.schema import EARLIER_FORMATS, FORMAT, LEGACY_FORMAT, REBUILD, REINDEX, IndexSchema
from memrouter.stores.valkey.scripts import LuaScript
from memrouter.stores.valkey.server import ServerFacts, explained

logger = logging.getLogger(__name__)

MAX_TRIES: Final = 5

_META: Final = frozenset({"embedding_model", "dimension", "format"})

# KEYS: the metadata. ARGV: embedding model, dimension, format, the formats that it takes the place of. Writes what is
# not there, raises the format from one of those, and returns what holds.
CLAIM: Final = LuaScript("""
redis.call('HSETNX', KEYS[1], 'embedding_model', ARGV[1])
redis.call('HSETNX', KEYS[1], 'dimension', ARGV[2])
redis.call('HSETNX', KEYS[1], 'format', ARGV[3])
local known = redis.call('HGET', KEYS[1], 'format')
for i = 4, #ARGV do
  if known == ARGV[i] then redis.call('HSET', KEYS[1], 'format', ARGV[3]) end
end
return redis.call('HGETALL', KEYS[1])
""")


@dataclass(frozen=True, slots=True)
class IndexState:
    """What was last seen of the index.

    Attributes:
        legacy: Whether it is one of the Go router. Memories that were not moved yet are then found by ``user_id``
            through the index, moved ones through their owner's keys. A rebuild moves them one way only, so a reader
            asks the index first and the owner's keys second, and takes an id once: then it misses none.
        algorithm: ``FLAT`` or ``HNSW``; None where the server does not tell.
        documents: Number of keys that it holds, on the node that answered.
        failures: Number of keys or fields that it could not take in.
        backfilling: Whether memories that were there before the index are still being read in.
        progress: Share of them that is done, 0 to 1.
        paused: Whether the server stopped reading them in for want of memory.
        notes: What is worth knowing though nothing is wrong, as sentences.
    """

    legacy: bool
    algorithm: str | None
    documents: int
    failures: int
    backfilling: bool
    progress: float
    paused: bool
    notes: tuple[str, ...] = ()

    @property
    def trouble(self) -> str:
        """Return why the index cannot find everything yet, as a sentence; empty if it can."""
        if self.paused:
            return (
                "the search index is not complete: the server stopped filling it for want of memory. Raise maxmemory "
                "(CONFIG SET maxmemory), or delete what is not needed"
            )
        return f"the search index is being filled: {self.progress:.0%} done" if self.backfilling else ""


class SearchIndex:
    """One index on one server or cluster; safe to use from many tasks and many routers at once.

    Args:
        connection: Runs the commands.
        settings: ``global.stores.memory.valkey``.
        dimension: Length of the embedder's vectors.
        embedding_model: Name of the embedder's model.
    """

    def __init__(
        self, connection: Connection, settings: ValkeySettings, *, dimension: int, embedding_model: str
    ) -> None:
        self._connection = connection
        self._space = EmbeddingSpace(embedding_model, dimension)
        self._schema = IndexSchema.from_settings(settings, dimension=dimension)
        self._keys = Keys(settings.collection_prefix)
        self._lock = asyncio.Lock()
        self._looks = 0
        self._state: IndexState | None = None

    @property
    def schema(self) -> IndexSchema:
        """Return the index as configured."""
        return self._schema

    @property
    def state(self) -> IndexState:
        """Return what was last seen; ``ensure`` must have succeeded once."""
        if self._state is None:
            msg = "SearchIndex.ensure was not called"
            raise RuntimeError(msg)
        return self._state

    async def ensure(self) -> IndexState:
        """Adopt the index, or make it where there is none.

        Raises:
            SchemaMismatch: An index is there that cannot serve; the message has every difference and its fix.
            StoreUnavailable: The server cannot be reached, or is not one that memrouter can work with.
        """
        await self.check_server()
        async with self._lock:
            state = await self._adopt_or_create()
        if state.legacy:
            logger.warning(
                "search index %s was made by the Go router: memories are found by user_id, which is slower; run: %s",
                self._schema.name, REBUILD,
            )  # fmt: skip
        for note in state.notes:
            logger.warning("search index %s: %s", self._schema.name, note)
        return state

    async def recreate_if_missing(self) -> IndexState:
        """Look at the index again and make it if it is gone; calls that come meanwhile share one look.

        Raises:
            SchemaMismatch: Somebody put another index in its place.
            StoreUnavailable: The server cannot be reached or refuses the index.
        """
        looks = self._looks
        async with self._lock:
            return self.state if self._looks != looks else await self._adopt_or_create()

    async def find(self) -> FoundIndex | None:
        """Return the index as the server describes it; None where there is none.

        Raises:
            StoreUnavailable: The server cannot be reached or has no Search module.
        """
        try:
            reply = await self._connection.run(["FT.INFO", self._schema.name])
        except ServerRefused as error:
            if error.index_missing:
                return None
            raise explained(error, doing="read the search index") from None
        found = parse_info(reply)
        return await self._over_cluster(found) if self._connection.cluster else found

    async def create(self, *, legacy: bool = False) -> bool:
        """Make the index; return False where another router was faster.

        Args:
            legacy: Whether to make it as the Go router does.

        Raises:
            StoreUnavailable: The server cannot be reached or refuses it.
        """
        command = self._schema.legacy_command() if legacy else self._schema.create_command()
        try:
            await self._connection.run(command)
        except ServerRefused as error:
            if "already exists" in error.reply:
                return False
            raise explained(error, doing=f"create the search index {self._schema.name}") from None
        logger.info("search index %s created", self._schema.name)
        return True

    async def drop(self) -> bool:
        """Remove the index and leave the memories as they are; return False where there was none.

        Raises:
            StoreUnavailable: The server cannot be reached or refuses it.
        """
        try:
            await self._connection.run(["FT.DROPINDEX", self._schema.name])
        except ServerRefused as error:
            if error.index_missing:
                return False
            raise explained(error, doing=f"drop the search index {self._schema.name}") from None
        return True

    async def ask_server(self) -> ServerFacts:
        """Return what the server says of itself, fit or not.

        Raises:
            StoreUnavailable: It cannot be reached.
        """
        return await ServerFacts.ask(self._connection)

    async def check_server(self) -> ServerFacts:
        """Return what the server says of itself.

        Raises:
            StoreUnavailable: memrouter cannot work with it.
        """
        facts = await self.ask_server()
        problems = facts.problems(cluster=self._connection.cluster)
        if problems:
            raise StoreUnavailable(f"{self._place}: {'; '.join(problems)}")
        return facts

    async def meta(self) -> dict[str, str]:
        """Return what routers wrote down about the vectors: embedding_model, dimension, format; empty if nothing."""
        reply = await self._connection.run(["HGETALL", self._keys.meta])
        return {name: _word(value) for name, value in as_mapping(reply).items()}

    async def claim(self, *, legacy: bool) -> None:
        """Write down, where nothing stands yet, whose vectors are kept here.

        Raises:
            SchemaMismatch: Vectors of another model or dimension are kept here, or a newer layout.
        """
        wanted = LEGACY_FORMAT if legacy else FORMAT
        earlier = () if legacy else (LEGACY_FORMAT, *EARLIER_FORMATS)
        meta = await self.meta()
        if not meta.keys() >= _META or meta["format"] in earlier:  # a full server takes no writes
            values = (self._space.model, str(self._space.dimension), wanted, *earlier)
            reply = await self._connection.script(CLAIM, [self._keys.meta], values)
            meta = {name: _word(value) for name, value in as_mapping(reply).items()}
        self.check_meta(meta)

    def check_meta(self, meta: dict[str, str]) -> None:
        """Hold the metadata against the configuration.

        Raises:
            SchemaMismatch: They do not fit, or the vectors are just being replaced.
        """
        self.check_format(meta)
        check_space(meta, wanted=self._space, place=self._place)

    def check_format(self, meta: dict[str, str]) -> None:
        """Check that this version knows the layout.

        Raises:
            SchemaMismatch: It does not.
        """
        if meta.get("format", FORMAT) not in (FORMAT, LEGACY_FORMAT, *EARLIER_FORMATS):
            raise SchemaMismatch(
                f"{self._place} was written by a newer memrouter (format {meta['format']}; this one knows {FORMAT}); "
                "upgrade memrouter, or set another collection_prefix and index_name"
            )

    async def forget_meta(self) -> None:
        """Remove what is written down about the vectors; only right where no memories are left."""
        await self._connection.run(["DEL", self._keys.meta])

    async def _adopt_or_create(self) -> IndexState:
        found = await self._found_or_created()
        meta = await self.meta()
        if self._state is not None:
            check_still_kept(meta, own=self._space, place=self._place)
        self.check_meta(meta)  # before the differences, since this message has the model's name
        self._refuse(self._schema.differences(found))
        await self.claim(legacy=found.legacy)
        return self._seen(found)

    async def _found_or_created(self) -> FoundIndex:
        for _ in range(MAX_TRIES):  # another router's rebuild may drop it between two steps
            found = await self.find()
            if found is not None:
                return found
            legacy = await self._was_legacy()
            await self.claim(legacy=legacy)
            await self.create(legacy=legacy)
        raise StoreUnavailable(f"search index {self._schema.name} is dropped again and again; see who does that")

    async def _was_legacy(self) -> bool:
        """Return whether the memories here, whose index is gone, are still laid out as by the Go router."""
        known = (await self.meta()).get("format")
        if known is not None:
            return known == LEGACY_FORMAT
        async for keys in self._connection.scan(self._keys.pattern):
            if any(self._keys.parse(key) is None for key in keys):
                return True
        return False

    async def _over_cluster(self, found: FoundIndex) -> FoundIndex:
        """Return ``found`` with the backfill of all nodes, where the server can tell it."""
        try:
            reply = await self._connection.run(["FT.INFO", self._schema.name, "CLUSTER"])
        except ServerRefused:
            return found
        return found.with_backfill(as_mapping(reply))

    def _refuse(self, differences: Sequence[object]) -> None:
        if differences:
            raise SchemaMismatch(
                f"search index {self._schema.name} at {self._place} is not as configured: "
                + "; ".join(map(str, differences)).replace(REINDEX, self._space.command)
            )

    def _seen(self, found: FoundIndex) -> IndexState:
        self._looks += 1
        self._state = IndexState(
            legacy=found.legacy,
            algorithm=found.vector.algorithm if found.vector else None,
            documents=found.documents,
            failures=found.failures,
            backfilling=found.backfilling,
            progress=found.progress,
            paused=found.paused,
            notes=tuple(self._schema.notes(found)),
        )
        return self._state

    @property
    def _place(self) -> str:
        return f"Valkey at {self._connection.place}"


def _word(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

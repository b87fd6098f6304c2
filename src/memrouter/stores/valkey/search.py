"""The candidates for one retrieval: an owner whole, or the nearest vectors joined with the newest word matches."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope, Vector
from memrouter.stores.query import ALL_TYPES, EVERYTHING, NOTHING_HELD, Candidates, StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.keys import Keys, OwnerKeys
from memrouter.stores.valkey.packed import PACKED_FIELDS
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.reads import Reads
from memrouter.stores.valkey.rows import Row, scope_digest_of
from memrouter.stores.valkey.scripts import SCAN, Arg
from memrouter.stores.valkey.walk import Walker
from memrouter.stores.vectors import to_bytes
from memrouter.stores.whole import Ranking, by_distance, candidates, newest_first, ranked
from memrouter.stores.word_matcher import WordMatcher

logger = logging.getLogger(__name__)

SPARE = 1
"""Neighbours asked for beyond ``k``: they show whether equally near ones were cut off."""
TIE = 1e-6
"""Scores nearer than this may be in either order on a server, which computes them in its own way."""
MAX_NEIGHBOURS = 10_000
"""Most neighbours that a server gives for one query (``search.max-vector-knn``); past it the search is done here."""
MIN_EF, MAX_EF = 256, 4096
"""Width of a graph search: no less than the neighbours asked for, no more than servers take."""
FULL_DISTANCE = {"COSINE": 2.0, "IP": 2.0, "L2": 4.0}
"""Distance between opposite vectors by metric: 1 - cosine twice, and the squared length for L2."""
WORD_SCAN = 20_000
"""How many of an owner's newest memories are looked at for words where the owner is over the scan limit."""
MAX_LARGE = 4096
"""How many scopes are remembered as over the scan limit."""

MAX_TRIES = 12
"""How often a search of several steps is made anew where its owner was written to meanwhile: it would show a change in
parts. Past it the answer is taken as it is."""

_VECTOR_FOLLOWS = (b"PARAMS", b"2", b"vector")
_WANTED = (*PACKED_FIELDS, "distance")
_FIELDS_WANTED = (b"RETURN", str(len(_WANTED)).encode(), *(name.encode() for name in _WANTED), b"LIMIT", b"0")


class Search:
    """The searches of one store.

    Scores of the index come from its distances, all others from the vectors themselves: equal on every metric to within
    the precision of float32, and equal vectors tie.

    Args:
        connection: Runs the commands.
        keys: Names the keys.
        index: The search index.
        reader: Reads the rows.
        walker: Reads owners in steps.
        reads: Reads owners whole where there are memories of the Go router.
        dimension: Length of the store's vectors.
    """

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        index: SearchIndex,
        *,
        reader: RowReader,
        walker: Walker,
        reads: Reads,
        dimension: int,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._index = index
        self._reader = reader
        self._walker = walker
        self._reads = reads
        self._dimension = dimension
        self._shards: tuple[str, ...] = ("ALLSHARDS", "CONSISTENT") if connection.cluster else ()
        self._large: dict[tuple[Scope, int], tuple[int, int]] = {}  # generation and number of memories

    async def __call__(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``."""
        sought = None if query.vector is None else to_bytes(query.vector, dimension=self._dimension)
        if self._index.state.legacy:
            return await self._with_untagged(scope, query)
        generation = -1
        if query.scan_limit > 0:
            whole = await self._whole(scope, query)
            if isinstance(whole, Candidates):
                return whole
            generation = whole
        for _ in range(MAX_TRIES):
            answer = await self._joined(scope, query, sought, generation)
            if answer.unchanged or not query.words or await self._generation(scope) == answer.generation:
                break
            generation = -1
        return answer

    async def _whole(self, scope: Scope, query: StoreQuery) -> Candidates | int:
        """Return everything visible; the generation where that is over the scan limit."""
        if query.known_generation not in (None, NOTHING_HELD):  # a plain command: half of what a script costs
            generation = await self._generation(scope)
            if generation == query.known_generation:
                return Candidates(records=None, scores=None, complete=False, generation=generation)
        owner = self._keys.of_scope(scope)
        place = (scope, query.scan_limit)
        reply = await self._connection.script(
            SCAN,
            [owner.ids, owner.generation, owner.access],
            [
                owner.base,
                scope.project_id or "",
                query.now,
                query.scan_limit,
                4 * self._dimension,
                *self._large.get(place, (-1, -1)),
            ],
        )
        generation = int(reply[0])
        if reply[1] == b"large":
            if len(self._large) >= MAX_LARGE:
                self._large.clear()
            self._large[place] = generation, int(reply[2])
            return generation
        records = await self._scanned(scope, query, reply[2:])
        if query.where != EVERYTHING:
            records = [record for record in records if query.where.holds(record)]
        return candidates(records, query.vector, complete=True, generation=generation)

    async def _scanned(self, scope: Scope, query: StoreQuery, columns: Sequence[Any]) -> list[MemoryRecord]:
        """Return what ``SCAN`` gave; read again row by row where there is one that somebody broke."""
        if columns:
            with suppress(ValueError):
                return await self._reader.columns(scope, *columns)
        walk = self._walker.walk(scope, query.where, now=query.now, show="visible")
        return [record async for part in walk for record in part]

    async def _joined(self, scope: Scope, query: StoreQuery, sought: bytes | None, generation: int) -> Candidates:
        """Return the nearest vectors and the newest word matches; the generation is read first, if it is -1."""
        near: Ranking | None = None
        if query.vector is not None and sought is not None and await self._served(query):
            generation, near = await self._neighbours(scope, query, sought, generation)
        if generation < 0:
            generation = await self._generation(scope)
        if query.known_generation == generation:
            return Candidates(records=None, scores=None, complete=False, generation=generation)
        if query.vector is not None and near is None:
            near = await self._exactly_nearest(scope, query, query.vector)
        records, scores = near or ([], None)
        worded = await self._holding_words(scope, query) if query.words else []
        if worded:
            return candidates([*records[: query.k], *worded], query.vector, complete=False, generation=generation)
        return Candidates(
            records=records[: query.k],
            scores=None if scores is None else scores[: query.k],
            complete=False,
            generation=generation,
        )

    async def _generation(self, scope: Scope) -> int:
        return int(await self._connection.value(self._keys.of_scope(scope).generation) or 0)

    async def _served(self, query: StoreQuery) -> bool:
        """Return whether the index can answer all of the query now."""
        where = query.where
        if where.ids is not None or where.conversation_id is not None or query.k + SPARE > MAX_NEIGHBOURS:
            return False
        if not where.types or where.sources == frozenset():
            return False
        if not self._index.state.backfilling:
            return True
        try:
            return not (await self._index.recreate_if_missing()).backfilling
        except StoreUnavailable as trouble:
            logger.warning("the search index cannot be used now: %s", trouble)
            return False

    async def _neighbours(
        self, scope: Scope, query: StoreQuery, sought: bytes, generation: int
    ) -> tuple[int, Ranking | None]:
        """Return the generation and at least the ``k`` nearest by the index; None where it cannot tell now."""
        owner = self._keys.of_scope(scope)
        wanted = query.k + SPARE
        while True:
            try:
                generation, accessed, reply = await self._asked(owner, scope, query, sought, wanted, generation)
            except ServerRefused as error:
                if not await self._index_changed(error):
                    raise
                return generation, None
            found = rows_of(reply)
            keys = [key for key, _, _ in found]
            access = await self._access(owner, keys) if found and accessed else [None] * len(found)
            records = await self._reader.records(scope, [row for _, row, _ in found], access)
            shown = [record for record in records if record.visible(query.now)]
            if query.where is not EVERYTHING:
                shown = [record for record in shown if query.where.holds(record)]
            distances = {key.decode(errors="replace").removeprefix(owner.base): apart for key, _, apart in found}
            ids = {record.id for record in shown}
            if len(ids) == len(shown) and ids <= distances.keys():
                near: Ranking = by_distance(shown, distances, full=FULL_DISTANCE[self._index.schema.metric])
            else:  # a row that somebody moved to another key
                near = ranked(shown, query.vector)
            if len(found) < wanted or not _tied(near[1] or (), query.k):
                return generation, near
            if wanted >= MAX_NEIGHBOURS:
                return generation, None
            wanted = min(4 * wanted, MAX_NEIGHBOURS)

    async def _asked(
        self, owner: OwnerKeys, scope: Scope, query: StoreQuery, sought: bytes, wanted: int, generation: int
    ) -> tuple[int, int, Any]:
        """Return generation, number of the owner's access entries and the reply of FT.SEARCH.

        The generation is never newer than the memories: what the caller keeps under it is not too old.
        """
        command = self._command(scope, query, sought, wanted)
        head: list[Sequence[Arg]] = [["GET", owner.generation], ["HLEN", owner.access]]
        if self._connection.cluster:
            current, accessed = await self._connection.pipeline(head)
            reply = await self._over_cluster(command, owner)
        else:
            current, accessed, reply = await self._connection.pipeline([*head, command])
        return int(current or 0) if generation < 0 else generation, accessed, reply

    async def _over_cluster(self, command: Sequence[Arg], owner: OwnerKeys) -> Any:
        """Search from the owner's node, which takes in what its scripts have just written before it answers."""
        try:
            return await self._connection.run([*command, *self._shards], beside=owner.ids)
        except ServerRefused as error:
            if not self._shards or error.index_missing:
                raise
            self._shards = ()
            return await self._connection.run(command, beside=owner.ids)

    def _command(self, scope: Scope, query: StoreQuery, sought: bytes, wanted: int) -> list[Arg]:
        """Return FT.SEARCH; only digests, words of our own and numbers stand in the query."""
        project = scope_digest_of(scope)
        parts = [f"@owner:{{{scope.owner}}}" if project is None else f"@scope:{{{project}}}"]
        parts.append(f"@live_until:[({query.now} +inf]")
        if query.where.types != ALL_TYPES:
            parts.append(f"@memory_type:{{{'|'.join(sorted(query.where.types))}}}")
        if query.where.sources is not None:
            parts.append(f"@source:{{{'|'.join(sorted(query.where.sources))}}}")
        width = f" EF_RUNTIME {min(MAX_EF, max(MIN_EF, wanted))}" if self._index.state.algorithm == "HNSW" else ""
        return [
            "FT.SEARCH", self._index.schema.name,
            f"({' '.join(parts)})=>[KNN {wanted} @embedding $vector{width} AS distance]",
            *_VECTOR_FOLLOWS, sought, *_FIELDS_WANTED, str(wanted), b"DIALECT", b"2",
        ]  # fmt: skip

    async def _access(self, owner: OwnerKeys, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the access entries of memories."""
        base = owner.base.encode()
        entries: list[bytes | None] = await self._connection.run(
            ["HMGET", owner.access, *(key.removeprefix(base) for key in keys)]
        )
        return entries

    async def _index_changed(self, error: ServerRefused) -> bool:
        """Return whether the index is not as it was, made again if it was gone: then this search goes without it."""
        before = self._index.state
        try:
            after = await self._index.recreate_if_missing()
        except StoreUnavailable as trouble:
            logger.warning("the search index cannot be used now: %s", trouble)
            return error.index_missing
        return error.index_missing or (after.algorithm, after.legacy) != (before.algorithm, before.legacy)

    async def _exactly_nearest(self, scope: Scope, query: StoreQuery, vector: Vector) -> Ranking:
        """Return at least the ``k`` nearest without the index: where it cannot tell."""
        best: list[MemoryRecord] = []
        if query.where.ids is not None:
            found = await self._reads.everything(scope, query.where, now=query.now)
            best = [record for record in found if record.visible(query.now) and query.where.holds(record)]
            return ranked(best, vector)
        async for part in self._walker.walk(scope, query.where, now=query.now, show="visible"):
            best = ranked([*best, *part], vector)[0][: query.k]
        return ranked(best, vector)

    async def _holding_words(self, scope: Scope, query: StoreQuery) -> list[MemoryRecord]:
        """Return the ``k`` newest memories that hold any of the words, among the newest WORD_SCAN."""
        held: list[MemoryRecord] = []
        words = WordMatcher(query.words)
        if not words:
            return held
        async for part in self._walker.walk(
            scope, query.where, now=query.now, show="visible", words=words, at_most=WORD_SCAN
        ):
            held += [record for record in part if query.where.holds(record) and words.matches(record.content)]
            if len(held) >= query.k:
                break
        return held[: query.k]

    async def _with_untagged(self, scope: Scope, query: StoreQuery) -> Candidates:
        """Answer from everything that the scope has: the Go router's index cannot tell owners apart for sure.

        Never unchanged: a Go router's writes do not raise the generation.
        """
        generation = await self._generation(scope)
        if query.vector is None and not query.words and not query.scan_limit:
            return Candidates(records=[], scores=None, complete=False, generation=generation)
        everything = await self._reads.everything(scope, EVERYTHING, now=query.now)
        visible = [record for record in everything if record.visible(query.now)]
        matching = [record for record in visible if query.where.holds(record)]
        if query.scan_limit > 0 and len(visible) <= query.scan_limit:
            return candidates(matching, query.vector, complete=True, generation=generation)
        words = WordMatcher(query.words)
        near = [] if query.vector is None else ranked(matching, query.vector)[0][: query.k]
        worded = [record for record in newest_first(matching) if words and words.matches(record.content)][: query.k]
        return candidates([*near, *worded], query.vector, complete=False, generation=generation)


def rows_of(reply: Any) -> list[tuple[bytes, Row, float]]:
    """Return keys, rows and distances in a reply of FT.SEARCH, whichever form the client gives it.

    Keys that are gone are left out.
    """
    found: list[tuple[bytes, Row, float]] = []
    parts = iter(reply[1:])
    for part in parts:
        if isinstance(part, dict):
            found += [(key, _packed(fields), float(fields[b"distance"])) for key, fields in part.items() if fields]
            continue
        fields = next(parts, None)
        if fields:
            named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
            found.append((part, _packed(named), float(named[b"distance"])))
    return found


def _packed(fields: Mapping[bytes, bytes]) -> Row:
    return [fields.get(b"record"), fields.get(b"content"), fields.get(b"embedding")]


def _tied(scores: Sequence[float], k: int) -> bool:
    """Return whether the last score is as good as the ``k``-th: there may be more of the same."""
    return len(scores) >= k and scores[k - 1] - scores[-1] < TIE

"""One search index beside others over the same memories: made, weighed, asked, and removed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.populations import Population, Question, row_of
from benchmarks.sampling import Block, Spread, timed
from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import Scope, owner_key
from memrouter.sizing.server import info, number
from memrouter.stores.query import StoreQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index_info import as_mapping, parse_info
from memrouter.stores.valkey.packed import PACKED_FIELDS
from memrouter.stores.valkey.schema import IndexSchema
from memrouter.stores.valkey.scripts import Arg
from memrouter.stores.valkey.store import ValkeyStore

K = 10
NOW = 1_800_000_000_000
STORE_EF = 256
"""What memrouter asks an HNSW index for at least."""
PAUSE, STEADY_BYTES, MOST_PAUSES = 0.25, 65_536, 80
TIE = 1e-5
PARTS = 5
"""Parts of the questions over which the spread of a recall is told."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An index by its settings.

    Attributes:
        m: Links of a node; 0 for FLAT.
        ef: Width of the search when it is built.
    """

    m: int = 0
    ef: int = 0

    @property
    def key(self) -> str:
        return f"m{self.m}.ef{self.ef}" if self.m else "flat"

    @property
    def name(self) -> str:
        return f"HNSW M {self.m}, EF_CONSTRUCTION {self.ef}" if self.m else "FLAT"

    @classmethod
    def read(cls, text: str) -> "Cell":
        """Return the cell of ``M:EF``."""
        m, _, ef = text.partition(":")
        return cls(int(m), int(ef))


@dataclass(frozen=True, slots=True)
class Built:
    """What making an index took.

    Attributes:
        seconds: From the command until it held all memories.
        cpu: Processor time of the server meanwhile.
        megabytes: Growth of ``used_memory``.
    """

    seconds: float
    cpu: float
    megabytes: float


class Bench:
    """A server with the memories of a population, and the indexes over them.

    Args:
        connection: To the server.
        settings: Name the keys.
        population: Whose memories are stored.
    """

    def __init__(self, connection: Connection, settings: ValkeySettings, population: Population) -> None:
        self._connection = connection
        self._settings = settings
        self._population = population

    def settings(self, cell: Cell) -> ValkeySettings:
        """Return what a router is configured with that uses a cell."""
        changes: dict[str, object] = {"index_name": f"{self._settings.index_name}_{cell.key.replace('.', '_')}"}
        if cell.m:
            changes |= {"index_algorithm": "hnsw", "index_m": cell.m, "index_ef_construction": cell.ef}
        return self._settings.model_copy(update=changes)

    async def build(self, cell: Cell) -> Built:
        """Make an index over the memories that are there."""
        await self.drop(cell)
        schema = IndexSchema.from_settings(self.settings(cell), dimension=self._population.vectors.shape[1])
        memory, cpu = await self._steady(), await self._cpu()
        begun = asyncio.get_running_loop().time()
        await self._connection.run(schema.create_command())
        while not await self._complete(schema.name):
            await asyncio.sleep(0.02)
        seconds = asyncio.get_running_loop().time() - begun
        used = await self._cpu() - cpu
        return Built(seconds, used, (await self._steady() - memory) / 2**20)

    async def drop(self, cell: Cell) -> None:
        """Remove an index, if it is there."""
        with suppress(StoreUnavailable):
            await self._connection.run(["FT.DROPINDEX", self.settings(cell).index_name])

    async def store(self, cell: Cell) -> ValkeyStore:
        """Return a store that uses an index."""
        return await ValkeyStore.open(
            self.settings(cell), dimension=self._population.vectors.shape[1], embedding_model=self._population.model
        )

    async def nearest(self, cell: Cell, question: Question, *, everybody: bool, ef: int, how: str = "") -> Any:
        """Return FT.SEARCH's reply for the K nearest memories, with what memrouter reads of each.

        Args:
            cell: Which index.
            question: What is asked.
            everybody: Whether among all memories; else among the user's. Then only keys and distances are returned.
            ef: Width of the search; of no meaning with FLAT.
            how: Further words of the query, such as ``HYBRID_POLICY BATCHES``.
        """
        among = "*" if everybody else f"(@owner:{{{owner_key(f'user{question.user}')}}})"
        width = f" EF_RUNTIME {ef}" if cell.m else ""
        fields = ("distance",) if everybody else (*PACKED_FIELDS, "distance")
        command: list[Arg] = [
            "FT.SEARCH", self.settings(cell).index_name, f"{among}=>[KNN {K} @embedding $v{width}{how} AS distance]",
            "PARAMS", "2", "v", question.vector.tobytes(), "RETURN", str(len(fields)), *fields,
            "LIMIT", "0", str(K), "TIMEOUT", "60000", "DIALECT", "2",
        ]  # fmt: skip
        return await self._connection.run(command)

    def asked(self, cell: Cell, questions: Sequence[Question], *, everybody: bool, ef: int, how: str = "") -> Block:
        """Return the block that asks an index."""

        async def ask(sample: int) -> object:
            question = questions[sample % len(questions)]
            return await self.nearest(cell, question, everybody=everybody, ef=ef, how=how)

        return timed(ask)

    async def recall(
        self, cell: Cell, questions: Sequence[Question], *, everybody: bool, ef: int, how: str = ""
    ) -> Spread:
        """Return which share of the K nearest an index finds; equally near ones count as well as each other."""
        shares = []
        for question in questions:
            least = self._population.least_score(question, K, everybody=everybody) - TIE
            reply = await self.nearest(cell, question, everybody=everybody, ef=ef, how=how)
            found = [self._population.vectors[row_of(key)] @ question.vector for key in keys_of(reply)]
            shares.append(sum(score >= least for score in found) / K)
        return Spread.of([float(np.mean(part)) for part in np.array_split(shares, PARTS)])

    async def _complete(self, name: str) -> bool:
        found = parse_info(await self._connection.run(["FT.INFO", name]))
        return not found.backfilling and found.documents >= len(self._population.vectors)

    async def _cpu(self) -> float:
        values = await info(self._connection, "cpu")
        return float(values.get("used_cpu_user", 0)) + float(values.get("used_cpu_sys", 0))

    async def _steady(self) -> int:
        """Return ``used_memory`` once the server has freed what it frees in the background."""
        before = number(await info(self._connection, "memory"), "used_memory")
        for _ in range(MOST_PAUSES):
            await asyncio.sleep(PAUSE)
            now = number(await info(self._connection, "memory"), "used_memory")
            if abs(now - before) <= STEADY_BYTES:
                return now
            before = now
        return before


def through(store: ValkeyStore, questions: Sequence[Question], *, scan_limit: int, words: bool = False) -> Block:
    """Return the block that asks a store for the K nearest, or for all of a user up to the limit.

    Args:
        store: Uses an index.
        questions: Asked one after the other.
        scan_limit: Largest user who is read whole.
        words: Whether the newest memories with words of the question are asked for too, as a recall does.
    """

    async def ask(sample: int) -> object:
        question = questions[sample % len(questions)]
        sought = question.words if words else ()
        query = StoreQuery(vector=question.vector, k=K, now=NOW, words=sought, scan_limit=scan_limit)
        return await store.search(Scope(f"user{question.user}"), query)

    return timed(ask)


def keys_of(reply: Any) -> list[bytes]:
    """Return the keys in a reply of FT.SEARCH, whichever form the client gives it."""
    keys: list[bytes] = []
    for part in reply[1:]:
        if isinstance(part, dict):
            keys += part
        elif isinstance(part, bytes):
            keys.append(part)
    return keys


async def walks_on_request(connection: Connection) -> bool:
    """Return whether the server can be told to walk the graph where it would look at a user's memories one by one."""
    modules = [as_mapping(module) for module in await connection.run(["MODULE", "LIST"])]
    numbers = [int(module["ver"]) for module in modules if module.get("name") == b"search"]
    return any(version < 1 << 16 or version >= 70_000 for version in numbers)

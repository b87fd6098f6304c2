"""What the store on its server or in its file is like now: size, index, and a reindex under way. Never a memory."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from memrouter.config.memory import MemorySettings, MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import UnderWay, under_way
from memrouter.stores.milvus.address import milvus_address
from memrouter.stores.milvus.chain import follow
from memrouter.stores.milvus.connection import Connection as MilvusConnection
from memrouter.stores.sqlite.connection import database_path
from memrouter.stores.sqlite.errors import DriverError, translated
from memrouter.stores.sqlite.notes import notes as sqlite_notes
from memrouter.stores.valkey.connection import Connection as ValkeyConnection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.index_info import FoundIndex
from memrouter.stores.valkey.schema import REBUILD, IndexSchema
from memrouter.stores.valkey.server import ServerFacts, dotted

PATIENCE_SECONDS: Final = 3.0
"""Longest that a page waits for the store."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """The vector index; what the server does not tell is None or empty.

    Attributes:
        name: Of the index or collection.
        algorithm: Such as ``FLAT`` or ``HNSW``.
        metric: Such as ``COSINE``.
        documents: How many memories it holds.
        failures: How many could not be taken in.
        progress: Share of what was there before the index that is taken in, 0 to 1.
        paused: Whether the server stopped filling it for want of memory.
        remarks: What differs from the configuration or is worth knowing, as sentences.
    """

    name: str
    algorithm: str
    metric: str
    documents: int | None
    failures: int = 0
    progress: float = 1.0
    paused: bool = False
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreState:
    """The store as it is now.

    Attributes:
        place: File, or host and port.
        server: Product and version; empty where it does not say.
        file_bytes: Size of the file and of its log; None where there is no file.
        index: None where vectors are compared without one, or where it is missing.
        problems: What is wrong, as sentences.
        reindex: A reindex that is not finished; None where there is none.
    """

    place: str
    server: str
    file_bytes: int | None = None
    index: IndexState | None = None
    problems: tuple[str, ...] = ()
    reindex: UnderWay | None = None


async def look_at_store(
    memory: MemorySettings, capabilities: Capabilities, *, seconds: float = PATIENCE_SECONDS
) -> StoreState:
    """Return what the configured store is like; changes nothing.

    Args:
        memory: ``global.stores.memory``.
        capabilities: Of the store in use.
        seconds: Longest that it may take.

    Raises:
        StoreUnavailable: It cannot be looked at; the message says why.
    """
    try:
        async with asyncio.timeout(seconds):
            match memory.effective_backend:
                case "sqlite":
                    return await asyncio.to_thread(_file, memory.sqlite)
                case "valkey":
                    return await _valkey(memory.valkey or ValkeySettings(), capabilities)
                case "milvus":
                    return await _milvus(memory.milvus or MilvusSettings())
    except TimeoutError:
        raise StoreUnavailable(f"the memory store gave no answer within {seconds:g} s") from None


def _file(settings: SqliteSettings) -> StoreState:
    path = database_path(settings.path)
    version = f"SQLite {sqlite3.sqlite_version}"
    try:
        size = sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            notes = sqlite_notes(connection)
    except DriverError as error:
        raise translated(error, place=str(path)) from None
    except OSError as error:
        raise StoreUnavailable(f"the memory database {path} cannot be read ({error.strerror})") from None
    return StoreState(str(path), version, file_bytes=size, reindex=under_way(notes))


async def _valkey(settings: ValkeySettings, capabilities: Capabilities) -> StoreState:
    connection = await ValkeyConnection.open(settings)
    try:
        index = SearchIndex(
            connection, settings, dimension=capabilities.dimension, embedding_model=capabilities.embedding_model
        )
        facts, found, notes = await asyncio.gather(index.ask_server(), index.find(), index.meta())
    finally:
        await connection.aclose()
    return valkey_state(facts, found, notes, schema=index.schema, place=connection.place, cluster=connection.cluster)


def valkey_state(
    facts: ServerFacts,
    found: FoundIndex | None,
    notes: Mapping[str, str],
    *,
    schema: IndexSchema,
    place: str,
    cluster: bool,
) -> StoreState:
    """Return the state of a Valkey store from what its server says.

    Args:
        facts: Of the server.
        found: The index; None where there is none.
        notes: What the store wrote down.
        schema: The index as configured.
        place: Host and port.
        cluster: Whether several nodes share the keys.
    """
    problems = facts.problems(cluster=cluster)
    if found is None:
        problems.append(
            f"the search index {schema.name} does not exist; the router makes it with its next request, "
            "or run: memrouter index create --config FILE"
        )
    parts = (facts.product, facts.version and dotted(facts.version), facts.search and f"with {facts.search}")
    server = " ".join(part for part in (*parts, facts.search_version and dotted(facts.search_version)) if part)
    index = None if found is None else _described(found, schema)
    return StoreState(place, server, index=index, problems=tuple(problems), reindex=under_way(notes))


def _described(found: FoundIndex, schema: IndexSchema) -> IndexState:
    remarks = [
        f"{difference.what} is {difference.found}, configured is {difference.wanted}; {difference.fix}"
        for difference in schema.differences(found)
    ]
    if found.legacy:
        remarks.append(f"it was made by the Go router, which is slower to read; run: {REBUILD}")
    vector = found.vector
    return IndexState(
        name=schema.name,
        algorithm=(vector and vector.algorithm) or "",
        metric=(vector and vector.metric) or "",
        documents=found.documents,
        failures=found.failures,
        progress=found.progress,
        paused=found.paused,
        remarks=(*remarks, *schema.notes(found)),
    )


async def _milvus(settings: MilvusSettings) -> StoreState:
    address = milvus_address(settings)
    place = address.place
    if address.local:  # a second client of the same folder would disturb the first
        return StoreState(place, "Milvus Lite")
    connection = await MilvusConnection.open(settings)
    try:
        version = await connection.administer(lambda client: str(client.get_server_version()))
        links = await connection.administer(lambda client: follow(client, settings.collection))
        if not links:
            missing = f"the collection {settings.collection} does not exist; the router makes it when it starts"
            return StoreState(place, f"Milvus {version}", problems=(missing,))
        name = links[-1].name
        found = await connection.administer(lambda client: dict(client.describe_index(name, "embedding") or {}))
    finally:
        await connection.aclose()
    index = IndexState(name, str(found.get("index_type", "")), str(found.get("metric_type", "")), None)
    return StoreState(place, f"Milvus {version}", index=index, reindex=under_way(links[-1].notes))

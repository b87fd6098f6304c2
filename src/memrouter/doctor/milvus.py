"""The checks of the memory store on Milvus, from its name to a memory that is written and found again."""

import asyncio
import random
import re
import socket
from typing import Final

from memrouter.config.memory import MemorySettings, MilvusSettings
from memrouter.doctor.address import MOST_PATIENCE
from memrouter.doctor.findings import Finding, Level, broken, ok, warning
from memrouter.doctor.reach import Report
from memrouter.doctor.vectors import vector_findings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import ConfigError, MemrouterError, MissingExtra, SchemaMismatch, StoreUnavailable
from memrouter.stores.embedding_space import DIMENSION, MODEL, EmbeddingSpace, kept_space
from memrouter.stores.milvus.address import SECTION, MilvusAddress, milvus_address
from memrouter.stores.milvus.canary import Canary
from memrouter.stores.milvus.chain import follow
from memrouter.stores.milvus.collection import REFILL, Collection
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.schema import index_fault, layout_of

OLDEST: Final = (2, 3)
"""Oldest version of Milvus that memrouter is tested with."""

_NOTHING_BEHIND: Final = "the router works without memory until this is mended; no check behind this one was possible"


async def examine_milvus(memory: MemorySettings, embedder: EmbedderInfo | None, *, report: Report) -> None:
    """Report every step to the store; a collection that is not there is not made.

    Args:
        memory: ``global.stores.memory``.
        embedder: What the embedder is; None where it could not be opened: its checks are left out.
        report: Takes the findings, in order.
    """
    settings = memory.milvus or MilvusSettings()
    settings = settings.model_copy(update={"timeout": min(settings.timeout, MOST_PATIENCE)})
    try:
        address = milvus_address(settings)
    except ConfigError as error:
        report(broken("milvus address", str(error), why="the router does not start", fix=f"correct {SECTION}.address"))
        return
    if address.host:
        found = await _name_finding(address)
        report(found)
        if found.level is Level.BROKEN:
            return
    connection = await _connect(settings, address, report)
    if connection is None:
        return
    try:
        await _look(connection, settings, embedder, report)
    except MemrouterError as error:
        report(broken("milvus", str(error), why=_NOTHING_BEHIND, fix="see the server's log; then run the doctor again"))
    finally:
        await connection.aclose()


async def _name_finding(address: MilvusAddress) -> Finding:
    try:
        async with asyncio.timeout(MOST_PATIENCE):
            found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return broken(
            "milvus name",
            f"the name {address.host!r} has no address",
            why=_NOTHING_BEHIND,
            fix=f"see that the name resolves (nslookup {address.host}), or correct {SECTION}.address",
        )
    return ok("milvus name", f"{address.host} is {', '.join(sorted({str(item[4][0]) for item in found})[:4])}")


async def _connect(settings: MilvusSettings, address: MilvusAddress, report: Report) -> Connection | None:
    try:
        connection = await Connection.open(settings)
    except MissingExtra as error:
        fix = f"pip install 'memrouter[{error.extra}]'"
        report(broken("milvus client", str(error), why="backend: milvus cannot be used without it", fix=fix))
        return None
    except StoreUnavailable as error:
        fix = f"check that the server runs and takes connections: nc -zv {address.host or address.place} {address.port}"
        report(broken("milvus connection", str(error), why=_NOTHING_BEHIND, fix=fix))
        return None
    safe = "encrypted" if address.tls else "on this machine" if address.local else "not encrypted"
    report(ok("milvus connection", f"{address.place} takes connections and credentials ({safe})"))
    return connection


async def _look(
    connection: Connection, settings: MilvusSettings, embedder: EmbedderInfo | None, report: Report
) -> None:
    version = await connection.administer(lambda client: str(client.get_server_version()))
    report(version_finding(version))
    root = settings.collection
    links = await connection.administer(lambda client: follow(client, root))
    if not links:
        report(ok("milvus collection", f"{root} does not exist yet; the router makes it when it starts"))
        return
    name, description = links[-1].name, links[-1].description
    index = await connection.administer(lambda client: dict(client.describe_index(name, "embedding") or {}))
    try:
        layout = layout_of(description, index, place=f"collection {name}")
    except SchemaMismatch as error:
        fix = f"set {SECTION}.collection to another name"
        report(broken("milvus collection", str(error), why="the router does not start", fix=fix))
        return
    report(ok("milvus collection", f"{name}, {'made by memrouter' if layout.own else 'made by the Go router'}"))
    report(index_finding(index_fault(layout, settings) if index else "has no index", name))
    if embedder is not None:
        fits = vector_finding(
            links[-1].notes, layout.dimension, embedder, name, instead=REFILL if connection.local else None
        )
        report(fits)
        if fits.level is not Level.BROKEN:
            report(await _canary_finding(connection, Collection(name, layout, root)))


def version_finding(version: str) -> Finding:
    """Return whether a server's version is one that memrouter is tested with."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if "lite" in version and not version.startswith("v"):
        return ok("milvus version", f"Milvus Lite ({version})")
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        return warning(
            "milvus version",
            f"the server says {version}",
            why="memrouter is tested with Milvus 2.3 and newer",
            fix="upgrade the server",
        )
    return ok("milvus version", f"Milvus {version}")


def index_finding(fault: str, name: str) -> Finding:
    """Return whether the index of collection ``name`` is as configured; ``fault`` is what is different."""
    if not fault:
        return ok("milvus index", "as configured")
    return warning(
        "milvus index",
        f"collection {name} {fault}",
        why="it works as it is, with its own speed and exactness, not with those of the configuration",
        fix=f"set {SECTION}.metric_type and .index_algorithm to that, or memrouter migrate to a new collection",
    )


def vector_finding(
    notes: dict[str, str], dimension: int, embedder: EmbedderInfo, name: str, *, instead: str | None = None
) -> Finding:
    """Return whether the kept vectors are of the configured embedder, and will be.

    Args:
        notes: What the collection says.
        dimension: Length of its vectors.
        embedder: The configured one.
        name: The collection's.
        instead: How it gets vectors of another model where it cannot be reindexed.
    """
    if kept_space(notes) is None:  # a collection of the Go router does not say whose vectors it keeps
        notes = notes | {MODEL: embedder.model, DIMENSION: str(dimension)}
    found = list(vector_findings("milvus vectors", notes, embedder, place=f"collection {name}", instead=instead))
    return found[0] if found else ok("milvus vectors", f"of {EmbeddingSpace(embedder.model, embedder.dimension)}")


async def _canary_finding(connection: Connection, collection: Collection) -> Finding:
    why = "a server that does not keep and find a memory makes the router forget"
    fix = f"see that the collection is loaded, and the server's log; {SECTION}.collection names it"
    try:
        await Canary(connection, collection, rng=random.SystemRandom()).sing()
    except MemrouterError as error:
        return broken("canary", str(error), why=why, fix=fix)
    return ok("canary", "a memory was written, found and removed again")

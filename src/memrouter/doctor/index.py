"""Whether the search index is there, fits the configuration and is complete."""

from collections.abc import Iterator
from dataclasses import dataclass

from memrouter.config.memory import ValkeySettings
from memrouter.doctor.address import ServerAddress
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.doctor.resp import Refused, RespConnection
from memrouter.doctor.vectors import vector_findings
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import MemrouterError
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.valkey.errors import refused
from memrouter.stores.valkey.index_info import FoundIndex, as_mapping, parse_info
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.schema import REBUILD, REINDEX, IndexSchema

CHECK = "index"


@dataclass(frozen=True, slots=True)
class IndexLook:
    """What was seen of the index.

    Attributes:
        findings: In order.
        found: The index; None where it is absent or could not be read.
        claimed: Whether a router has written down whose vectors are kept here.
    """

    findings: tuple[Finding, ...]
    found: FoundIndex | None = None
    claimed: bool = False


async def look_at_index(
    connection: RespConnection, settings: ValkeySettings, address: ServerAddress, embedder: EmbedderInfo
) -> IndexLook:
    """Return what is there beside what the configuration asks for; changes nothing."""
    try:
        meta = _words(await connection.run(["HGETALL", Keys(settings.collection_prefix).meta]))
        found = await _find(connection, settings, address)
        vectors = list(vector_findings("index vectors", meta, embedder, place=str(address))) if meta else []
        if found is None:
            kept = bool(meta) or await _has_keys(connection, settings)
            return IndexLook((*vectors, absent_finding(settings, kept=kept)))
    except MemrouterError as error:
        unread = broken(
            CHECK,
            f"the index cannot be looked at: {error}",
            why="memories are found through it",
            fix=f"see the other findings; then: {address.cli('FT.INFO', settings.index_name)}",
        )
        return IndexLook((unread,))
    schema = IndexSchema.from_settings(settings, dimension=embedder.dimension)
    command = EmbeddingSpace(embedder.model, embedder.dimension).command
    findings = (*vectors, *index_findings(found, schema, address, reindex=command))
    return IndexLook(findings, found, claimed=bool(meta))


def absent_finding(settings: ValkeySettings, *, kept: bool) -> Finding:
    """Return what it means that there is no index; ``kept``: whether memories are there already."""
    if not kept:
        return ok(CHECK, f"{settings.index_name} does not exist yet; the router makes it when it starts")
    return warning(
        CHECK,
        f"{settings.index_name} does not exist, though memories are kept under {settings.collection_prefix}",
        why="they are not found by meaning until it exists and is filled",
        fix="memrouter index create --config FILE (a running router makes it on the next request)",
    )


def index_findings(
    found: FoundIndex, schema: IndexSchema, address: ServerAddress, *, reindex: str = REINDEX
) -> Iterator[Finding]:
    """Yield every difference to the configuration, and whether the index is complete.

    Args:
        found: The index as it is.
        schema: As it should be.
        address: Of the server, for commands.
        reindex: The command that makes all vectors anew.
    """
    differences = schema.differences(found)
    for difference in differences:
        by_hand = f"{address.cli('FT.DROPINDEX', schema.name)} (keeps the memories; the router makes the index anew)"
        yield broken(
            CHECK,
            f"an index {schema.name} exists already, but its {difference.what} is {difference.found}; configured is "
            f"{difference.wanted}",
            why="the router refuses an index that would answer wrongly",
            fix=f"{difference.fix.replace(REINDEX, reindex)}; by hand: {by_hand}",
        )
    if differences:
        return
    if found.legacy:
        yield warning(
            CHECK,
            f"{schema.name} was made by the Go router: memories are told apart by user_id, not by owner",
            why="they are read correctly, but more slowly",
            fix=REBUILD,
        )
    else:
        kind = found.vector.algorithm if found.vector and found.vector.algorithm else "vector"
        yield ok(CHECK, f"{schema.name} fits the configuration ({kind}, {found.documents} memories)")
    for note in schema.notes(found):
        yield ok(CHECK, note)
    yield from _completeness(found, schema, address)


def _completeness(found: FoundIndex, schema: IndexSchema, address: ServerAddress) -> Iterator[Finding]:
    if found.paused:
        yield broken(
            "index state",
            f"the server stopped filling {schema.name} for want of memory, {found.progress:.0%} done",
            why="memories that are not in the index are not found by meaning",
            fix="raise the limit, for example: " + address.admin_cli("CONFIG", "SET", "maxmemory", "2gb"),
        )
    elif found.backfilling:
        yield warning(
            "index state",
            f"{schema.name} is being filled, {found.progress:.0%} done",
            why="until then some memories are not found by meaning",
            fix="wait; see how far it is: memrouter index info --config FILE",
        )
    if found.failures:
        yield warning(
            "index state",
            f"{found.failures} keys could not be taken into {schema.name}",
            why="keys with a vector of another dimension or broken fields are not found by meaning",
            fix=REBUILD,
        )


async def _find(connection: RespConnection, settings: ValkeySettings, address: ServerAddress) -> FoundIndex | None:
    try:
        return parse_info(await connection.run(["FT.INFO", settings.index_name]))
    except Refused as error:
        if refused(str(error), place=str(address)).index_missing:
            return None
        raise


def _words(reply: object) -> dict[str, str]:
    return {
        name: value.decode(errors="replace") for name, value in as_mapping(reply).items() if isinstance(value, bytes)
    }


async def _has_keys(connection: RespConnection, settings: ValkeySettings) -> bool:
    """Return whether a first glance finds keys under the prefix."""
    pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in settings.collection_prefix) + "*"
    try:
        reply = await connection.run(["SCAN", 0, "MATCH", pattern, "COUNT", 1000])
    except Refused:
        return False
    match reply:
        case [_, list(keys)]:
            return bool(keys)
    return False

"""Opening a collection, by its name or by an alias, and making it where it is not there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from memrouter.config.memory import MilvusSettings
from memrouter.errors import SchemaMismatch
from memrouter.stores.embedding_space import DIMENSION, MODEL, EmbeddingSpace, check_space
from memrouter.stores.milvus.address import SECTION
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.schema import Layout, index_parameters, layout_of, new_schema

if TYPE_CHECKING:
    from pymilvus import MilvusClient

PROPERTY: Final = "memrouter."
"""In front of the names of the properties in which a collection says what it keeps."""

REFILL: Final = (
    f"name another {SECTION}.collection beside the new embedding_model in a copy of the configuration, and run: "
    "memrouter migrate --from FILE --to COPY"
)
"""How memories get vectors of another model: a collection is not reindexed."""

MAKE_SECONDS: Final = 120.0
"""Longest that making, indexing and loading a collection may take."""

_DESCRIPTION: Final = "Agentic Memory storage for cross-session context"


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection that is loaded.

    Attributes:
        name: Its name or alias, as it was asked for.
        layout: How memories stand in it.
    """

    name: str
    layout: Layout


async def open_collection(
    connection: Connection, settings: MilvusSettings, space: EmbeddingSpace, *, name: str | None = None
) -> Collection:
    """Return a collection, loaded; it is made where it is not there.

    Args:
        connection: Runs the calls.
        settings: What a new one is to be like.
        space: Whose vectors it keeps or is to keep.
        name: Its name or an alias of it; None for the configured one.

    Raises:
        SchemaMismatch: It is no collection of memories, or keeps other vectors; the message has the fix.
        StoreUnavailable: The server cannot be reached, or refuses.
    """
    _check_configured(settings, space)
    wanted = name or settings.collection
    place = f"collection {wanted} of Milvus at {connection.place}"
    await connection.administer(lambda client: _check_ours(client, wanted, place), seconds=MAKE_SECONDS)
    await make_collection(connection, settings, space, name=wanted)
    description, index = await connection.administer(lambda client: _described(client, wanted), seconds=MAKE_SECONDS)
    layout = layout_of(description, index, place=place)
    kept = notes_of(description)
    said = kept or {MODEL: space.model, DIMENSION: str(layout.dimension)}
    check_space(said, wanted=space, place=place, instead=REFILL)
    if not kept:  # made by the Go router, which does not say whose vectors they are
        await connection.administer(lambda client: _note(client, wanted, space))
    return Collection(wanted, layout)


async def make_collection(
    connection: Connection, settings: MilvusSettings, space: EmbeddingSpace, *, name: str
) -> None:
    """Make a collection with its index and load it; one that is there already is only loaded."""
    await connection.administer(lambda client: _make(client, settings, space, name), seconds=MAKE_SECONDS)


def notes_of(description: Mapping[str, Any]) -> dict[str, str]:
    """Return what a collection says about the vectors that it keeps; see ``embedding_space``."""
    found = dict(description.get("properties") or {})
    return {name.removeprefix(PROPERTY): str(found[name]) for name in found if name.startswith(PROPERTY)}


def _make(client: "MilvusClient", settings: MilvusSettings, space: EmbeddingSpace, name: str) -> None:
    from pymilvus.exceptions import MilvusException

    index = client.prepare_index_params()
    index.add_index("embedding", **index_parameters(settings))
    if not client.has_collection(name):
        try:
            client.create_collection(
                name,
                schema=new_schema(dimension=space.dimension, description=_DESCRIPTION),
                num_shards=1,  # one shard: an insert is one step for every reader
                num_partitions=settings.num_partitions,
                consistency_level="Eventually",
                properties={PROPERTY + MODEL: space.model, PROPERTY + DIMENSION: str(space.dimension)},
            )
        except MilvusException:
            if not client.has_collection(name):  # else another router was quicker
                raise
    if not client.list_indexes(name, "embedding"):  # also where a router was killed before it had made it
        client.create_index(name, index)
    client.load_collection(name)


def _check_ours(client: "MilvusClient", name: str, place: str) -> None:
    """Check that a collection, if it is there, keeps memories, before anything is done to it."""
    if client.has_collection(name):
        layout_of(client.describe_collection(name), {}, place=place)


def _described(client: "MilvusClient", name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(client.describe_collection(name)), dict(client.describe_index(name, "embedding") or {})


def _note(client: "MilvusClient", name: str, space: EmbeddingSpace) -> None:
    values = {PROPERTY + MODEL: space.model, PROPERTY + DIMENSION: str(space.dimension)}
    client.alter_collection_properties(name, values)


def _check_configured(settings: MilvusSettings, space: EmbeddingSpace) -> None:
    if settings.dimension not in (None, space.dimension):
        raise SchemaMismatch(
            f"{SECTION}.dimension is {settings.dimension}, but {space.model} makes vectors of {space.dimension} "
            f"numbers; remove the key, or set it to {space.dimension}"
        )

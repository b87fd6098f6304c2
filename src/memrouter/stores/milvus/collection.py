"""Opening a collection, by its name or by an alias, and making it where it is not there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from memrouter.config.memory import MilvusSettings
from memrouter.errors import SchemaMismatch
from memrouter.stores.embedding_space import DIMENSION, MODEL, EmbeddingSpace, check_space, kept_space
from memrouter.stores.milvus.address import SECTION
from memrouter.stores.milvus.chain import follow, make_pointer, notes_of, properties_of
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.errors import ServerRefused
from memrouter.stores.milvus.schema import Layout, index_parameters, layout_of, new_schema

if TYPE_CHECKING:
    from pymilvus import MilvusClient

REFILL: Final = (
    f"name another {SECTION}.collection beside the new embedding_model in a copy of the configuration, and run: "
    "memrouter migrate --from FILE --to COPY"
)
"""How memories of Milvus Lite get vectors of another model: its collections cannot be reindexed."""

MAKE_SECONDS: Final = 120.0
"""Longest that making, indexing and loading a collection may take."""

LOOKS: Final = 5
"""How often a collection is looked for that is dropped while it is opened."""

_DESCRIPTION: Final = "Agentic Memory storage for cross-session context"


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection that is loaded.

    Attributes:
        name: Its name or alias.
        layout: How memories stand in it.
        root: The name or alias under which it was looked for; another one where a reindex has made it.
    """

    name: str
    layout: Layout
    root: str


async def open_collection(
    connection: Connection, settings: MilvusSettings, space: EmbeddingSpace, *, name: str | None = None
) -> Collection:
    """Return a collection, loaded; it is made where it is not there.

    A reindex that ends meanwhile may drop the collection that was found; it is then looked for again.

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
    for _ in range(LOOKS - 1):
        try:
            return await _opened(connection, settings, space, name or settings.collection)
        except ServerRefused as error:
            if not error.collection_missing:
                raise
    return await _opened(connection, settings, space, name or settings.collection)


async def _opened(connection: Connection, settings: MilvusSettings, space: EmbeddingSpace, root: str) -> Collection:
    place = f"collection {root} of Milvus at {connection.place}"
    found = await connection.administer(lambda client: _found(client, settings, space, root), seconds=MAKE_SECONDS)
    description = await connection.describe(found)
    layout_of(description, {}, place=place)  # before anything is done to it
    index = await connection.administer(lambda client: _loaded(client, settings, found), seconds=MAKE_SECONDS)
    layout, said = layout_of(description, index, place=place), notes_of(description)
    unnamed = kept_space(said) is None
    if unnamed:  # made by the Go router, which does not say whose vectors they are
        said |= {MODEL: space.model, DIMENSION: str(layout.dimension)}
    check_space(said, wanted=space, place=place, instead=REFILL if connection.local else None)
    if unnamed:
        await connection.administer(lambda client: client.alter_collection_properties(found, _properties(space)))
    return Collection(found, layout, root)


def _found(client: "MilvusClient", settings: MilvusSettings, space: EmbeddingSpace, root: str) -> str:
    """Return the name of the collection with the memories, which is made where there is none."""
    links = follow(client, root)
    if not links:
        _make(client, settings, space, root)
        return root
    if links[0].name != root:  # a reindex was killed just before this
        make_pointer(client, root, to=links[-1].name)
    return links[-1].name


def _make(client: "MilvusClient", settings: MilvusSettings, space: EmbeddingSpace, name: str) -> None:
    from pymilvus.exceptions import MilvusException

    try:
        client.create_collection(
            name,
            schema=new_schema(dimension=space.dimension, description=_DESCRIPTION),
            num_shards=1,  # one shard: an insert is one step for every reader
            num_partitions=settings.num_partitions,
            consistency_level="Eventually",
            properties=_properties(space),
        )
    except MilvusException:
        if not client.has_collection(name):  # else another router was quicker
            raise


def _loaded(client: "MilvusClient", settings: MilvusSettings, name: str) -> dict[str, Any]:
    """Load a collection, and return what its index is like."""
    if not client.list_indexes(name, "embedding"):  # it is new, or a router was killed before it had made it
        index = client.prepare_index_params()
        index.add_index("embedding", **index_parameters(settings))
        client.create_index(name, index)
    client.load_collection(name)
    return dict(client.describe_index(name, "embedding") or {})


def _properties(space: EmbeddingSpace) -> dict[str, str]:
    return properties_of({MODEL: space.model, DIMENSION: str(space.dimension)})


def _check_configured(settings: MilvusSettings, space: EmbeddingSpace) -> None:
    if settings.dimension not in (None, space.dimension):
        raise SchemaMismatch(
            f"{SECTION}.dimension is {settings.dimension}, but {space.model} makes vectors of {space.dimension} "
            f"numbers; remove the key, or set it to {space.dimension}"
        )

"""Whether a router may still use the collection that it opened: a reindex may have put another in its place."""

from memrouter.errors import SchemaMismatch
from memrouter.stores.embedding_space import EmbeddingSpace, check_still_kept, check_writable
from memrouter.stores.milvus.chain import MOVED_TO, follow, notes_of
from memrouter.stores.milvus.collection import Collection
from memrouter.stores.milvus.connection import Connection
from memrouter.stores.milvus.errors import ServerRefused


class Fence:
    """Looks at what a collection says of itself, which takes about 2 ms.

    A write looks before it begins, and again when it is durable and before it returns. So a reindex that forbids
    writes, and only then reads what there is, misses nothing of which a router said that it was kept.

    Args:
        connection: Runs the calls.
        collection: The one that was opened.
        own: The space of the router's embedder.
    """

    def __init__(self, connection: Connection, collection: Collection, *, own: EmbeddingSpace) -> None:
        self._connection = connection
        self._collection = collection
        self._own = own
        self._place = f"collection {collection.root} of Milvus at {connection.place}"

    async def check_writable(self) -> None:
        """Check that the collection takes vectors of this router.

        Raises:
            SchemaMismatch: It was reindexed meanwhile.
            StoreUnavailable: A reindex is about to switch, or the server failed.
        """
        check_writable(await self._notes(), own=self._own, place=self._place)

    async def check_still_kept(self) -> None:
        """Check that the memories are still in this collection.

        Raises:
            SchemaMismatch: It was reindexed meanwhile.
            StoreUnavailable: The server failed.
        """
        check_still_kept(await self._notes(), own=self._own, place=self._place)

    async def _notes(self) -> dict[str, str]:
        try:
            notes = notes_of(await self._connection.describe(self._collection.name))
        except ServerRefused as error:
            if error.collection_missing:
                await self._check_place()
            raise
        if MOVED_TO in notes:
            await self._check_place()
        return notes

    async def _check_place(self) -> None:
        """Raise where the memories are in another collection now."""
        links = await self._connection.administer(lambda client: follow(client, self._collection.root))
        if links and links[-1].name != self._collection.name:
            check_still_kept(links[-1].notes, own=self._own, place=self._place)
            raise SchemaMismatch(f"{self._place} was reindexed meanwhile; restart memrouter")

"""What a store offers so that all of its vectors can be made anew while routers go on serving with the old ones."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from memrouter.config.memory import MemorySettings, MilvusSettings, ValkeySettings
from memrouter.errors import ConfigError, ConfigProblem
from memrouter.models.memory import Matrix
from memrouter.stores.embedding_space import EmbeddingSpace, UnderWay

_LITE: Final = ConfigProblem(
    file="<configuration>",
    line=None,
    key="global.stores.memory.milvus.address",
    found="a file of Milvus Lite",
    allowed="a server: a collection of Milvus Lite cannot say that another takes its place",
    hint="Set the new embedding_model and another milvus.collection in a copy of the file, and run: memrouter migrate "
    "--from FILE --to COPY",
)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a store holds.

    Attributes:
        kept: Whose vectors it keeps; None where it keeps nothing and was never used.
        under_way: The reindex that is not finished; None where there is none.
        memories: How many memories it keeps, superseded and expired ones too.
        made: How many new vectors stand beside the old ones; some may be of texts that have changed since.
    """

    kept: EmbeddingSpace | None
    under_way: UnderWay | None
    memories: int
    made: int


@dataclass(frozen=True, slots=True)
class Text:
    """A memory that has no new vector yet.

    Attributes:
        key: Names the memory to the store; opaque.
        content: Its text as it was read.
    """

    key: str
    content: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A step of a pass over all memories.

    Attributes:
        looked: How many memories were looked at.
        texts: Those among them that have no new vector.
    """

    looked: int
    texts: Sequence[Text]


class Reindexing(Protocol):
    """One store's part in a reindex. Every step may be broken off, by kill -9 too, and done again.

    New vectors stand apart from what routers read until ``switch``. All methods may raise ``StoreUnavailable``.
    """

    async def survey(self) -> Survey:
        """Return what the store holds; changes nothing."""
        ...

    async def begin(self) -> bool:
        """Write down that a reindex is under way, or find the one that is; return False where nothing is to be done.

        Raises:
            SchemaMismatch: A reindex to another space is under way.
        """
        ...

    def pending(self, *, step: int) -> AsyncIterator[Batch]:
        """Go once through all memories; what is written meanwhile may be missed.

        Args:
            step: About how many memories a batch looks at.
        """
        ...

    async def put(self, texts: Sequence[Text], vectors: Matrix) -> int:
        """Keep new vectors; return how many. One whose memory is gone or has another text by now is dropped.

        Raises:
            SchemaMismatch: A vector is not of the target's dimension, finite and of unit length; none was kept.
        """
        ...

    async def seal(self) -> None:
        """See to it that no memory with an old vector is written any more, while reads go on."""
        ...

    async def switch(self) -> int | None:
        """Put the new vectors in the place of the old ones; return how many memories have them now.

        Returns None, and routers still have what they had or cannot use the store, where a memory without a new vector
        is left: then another pass is due.
        """
        ...

    async def finish(self) -> None:
        """Remove what is left of the old vectors and of the work."""
        ...

    async def abandon(self) -> bool:
        """Remove all new vectors and go on with the old ones; return False where no reindex is under way.

        Raises:
            SchemaMismatch: The switch has begun; it can only be finished.
        """
        ...

    async def aclose(self) -> None:
        """Let go of the backend; calling it again does nothing."""
        ...


async def open_reindexing(settings: MemorySettings, *, target: EmbeddingSpace) -> Reindexing:
    """Return the configured store's part in a reindex; the caller closes it with ``aclose``.

    Args:
        settings: ``global.stores.memory``.
        target: The space of the new vectors.

    Raises:
        ConfigError: The backend cannot do it in this version, or its driver is not installed.
        SchemaMismatch: Not a memrouter store, or one of a newer version.
        StoreUnavailable: The backend cannot be reached or opened.
    """
    match settings.effective_backend:
        case "sqlite":
            from memrouter.stores.sqlite.reindex import SqliteReindexing

            return await SqliteReindexing.open(settings.sqlite, target=target)
        case "valkey":
            from memrouter.stores.valkey.reindex import ValkeyReindexing

            return await ValkeyReindexing.open(settings.valkey or ValkeySettings(), target=target)
        case "milvus":
            from memrouter.stores.milvus.address import milvus_address
            from memrouter.stores.milvus.reindex import MilvusReindexing

            milvus = settings.milvus or MilvusSettings()
            if milvus_address(milvus).local:
                raise ConfigError([_LITE])
            return await MilvusReindexing.open(milvus, target=target)

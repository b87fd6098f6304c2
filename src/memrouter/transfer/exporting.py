"""Reads memories out of a store as lines of the data format."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from memrouter import __version__
from memrouter.stores.base import MemoryStore
from memrouter.transfer.format import FORMAT, VERSION, Filters, Manifest, Origin
from memrouter.transfer.progress import Progress, Unseen
from memrouter.transfer.selection import Selection
from memrouter.transfer.writer import LineWriter

DEFAULT_PAGE = 2000
"""Memories that are read at a time: the larger, the fewer waits for a server."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of an export.

    Attributes:
        data: Whole lines; may be empty.
        position: Where the export can be taken up behind these lines.
    """

    data: bytes
    position: str | None


async def new_manifest(store: MemoryStore, filters: Filters, *, vectors: bool, now: int) -> Manifest:
    """Return the first line of a new export.

    Args:
        store: What will be read.
        filters: Which memories.
        vectors: Whether they come with their vectors.
        now: Milliseconds since the epoch.

    Raises:
        StoreUnavailable: The memories cannot be counted.
    """
    about = store.capabilities
    countable = Selection(filters).whole_owners
    return Manifest(
        format=FORMAT,
        version=VERSION,
        embedding_model=about.embedding_model,
        dimension=about.dimension,
        count=await store.count(filters.user_id) if countable else None,
        created=now,
        source=Origin(backend=about.backend, memrouter=__version__),
        filters=filters,
        vectors=vectors,
    )


async def pieces(
    store: MemoryStore,
    writer: LineWriter,
    *,
    after: str | None = None,
    page: int = DEFAULT_PAGE,
    progress: Progress | None = None,
) -> AsyncIterator[Piece]:
    """Yield the lines of an export, in constant memory: the manifest unless it is taken up, memories, the trailer.

    Args:
        store: What is read.
        writer: Has the manifest; counts what is written.
        after: The position behind which an export that was broken off is taken up; None begins anew.
        page: Memories that are read at a time.
        progress: Is told how many memories were read.

    Raises:
        InvalidRequest: ``after`` is not a position of this kind of store.
        StoreUnavailable: The store failed; what was yielded stands.
    """
    shown = progress or Unseen()
    selection = Selection(writer.manifest.filters)
    if after is None:
        yield Piece(writer.begin(), None)
    async for found in store.scan(selection.query(after=after, page=page)):
        chosen = [record for record in found.records if selection.covers(record)]
        writer.leave_out(len(found.records) - len(chosen))
        yield Piece(await asyncio.to_thread(writer.page, chosen), found.position)
        shown.advance(len(found.records))
    yield Piece(writer.end(), None)

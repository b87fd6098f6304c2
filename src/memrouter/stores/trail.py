"""The parts of a memory that most do not have, as one text: pinned, links, history."""

import msgspec
from msgspec.structs import replace

from memrouter.models.history import HistoryEntry
from memrouter.models.memory import MemoryRecord


class _Trail(msgspec.Struct, array_like=True):
    pinned: bool
    links: tuple[str, ...]
    history: tuple[HistoryEntry, ...]


_DECODER = msgspec.json.Decoder(_Trail)


def trail_of(record: MemoryRecord) -> str | None:
    """Return the text that stores keep; None where a memory has none of the three."""
    if not (record.pinned or record.links or record.history):
        return None
    return msgspec.json.encode(_Trail(record.pinned, record.links, record.history)).decode()


def with_trail(record: MemoryRecord, trail: str | bytes | None) -> MemoryRecord:
    """Return a memory with what ``trail_of`` kept of it.

    Raises:
        ValueError: Not a text that ``trail_of`` made.
    """
    if not trail:
        return record
    held = _DECODER.decode(trail)
    return replace(record, pinned=held.pinned, links=held.links, history=held.history)

"""The entities that a change adds: versions of memories, deletions and access counts."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from memrouter.models.memory import MemoryRecord
from memrouter.stores.milvus.connection import Row
from memrouter.stores.milvus.expressions import ACCESS, GONE
from memrouter.stores.milvus.journal import Change, Journal
from memrouter.stores.milvus.rows import Held, memory_row, meta_row, new_key
from memrouter.stores.milvus.schema import Layout
from memrouter.stores.milvus.state import OwnerState, bucket_of

GRAVES_AT_ONCE: Final = 150
"""Memories that one entity names as deleted: its text stays below 65,535 bytes."""

COUNTS_BYTES: Final = 60_000
"""Most bytes of the access counts in one entity; past them the least recently retrieved are forgotten."""


class Entities:
    """Makes them for one collection.

    Args:
        journal: Gives keys and the time.
        layout: Of the collection.
    """

    def __init__(self, journal: Journal, layout: Layout) -> None:
        self._journal = journal
        self._layout = layout

    def born(self, record: MemoryRecord, change: Change) -> Held:
        """Return the first version of a memory."""
        nonce = self._journal.nonce()
        return Held(record, self._key(record, nonce), birth=nonce, version=1, nonce=nonce, change=change.number)

    def following(self, held: Held, record: MemoryRecord, change: Change, *, birth: str) -> Held:
        """Return the next version of a memory."""
        nonce = self._journal.nonce()
        key = self._key(record, nonce)
        return Held(record, key, birth=birth, version=held.version + 1, nonce=nonce, change=change.number)

    def row(self, held: Held) -> Row:
        """Return the entity of a memory; see ``memory_row``."""
        return memory_row(held, self._layout)

    def graves(self, user: str, going: Sequence[Held], change: Change) -> list[Row]:
        """Return the entities that say that memories were deleted."""
        pairs = [(held.record.id, held.birth) for held in going]
        parts = [pairs[first : first + GRAVES_AT_ONCE] for first in range(0, len(pairs), GRAVES_AT_ONCE)]
        return [self._meta(user, GONE, {"change": change.number, "gone": part}) for part in parts]

    def counts(self, user: str, state: OwnerState, bucket: int) -> Row:
        """Return the entity with an owner's access counts of one bucket."""
        counts = {name: access for name, access in state.access.items() if bucket_of(name) == bucket}
        room = COUNTS_BYTES
        said: dict[str, tuple[str, int, int | None]] = {}
        for name, access in sorted(counts.items(), key=lambda item: item[1].last or 0, reverse=True):
            entry = (access.birth, access.count, access.last)
            room -= len(msgspec.json.encode({name: entry}))
            if room < 0:
                break
            said[name] = entry
        return self._meta(user, ACCESS, {"bucket": bucket, "counts": said})

    def _key(self, record: MemoryRecord, nonce: str) -> str:
        return new_key(record.id, record.user_id, nonce, self._layout)

    def _meta(self, user: str, kind: str, content: Any) -> Row:
        return meta_row(user, kind, self._journal.nonce(), content, layout=self._layout, now=self._journal.now())

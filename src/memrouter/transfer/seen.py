"""Which memories were seen already, exactly and in bounded memory."""

import sqlite3
from hashlib import blake2b
from typing import Self

from memrouter.models.memory import MemoryRecord

_CACHE_KIB = 2_048


class SeenMemories:
    """A set of owners' memory ids that spills to a nameless temporary file, which goes when it is closed.

    Blocking, and for one thread at a time. Names are kept as digests of 128 bits.
    """

    def __init__(self) -> None:
        # An empty name is a private database on disk; it is never synced, since nothing of it outlives this object.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for statement in (
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE seen (owner BLOB, memory BLOB, PRIMARY KEY (owner, memory)) WITHOUT ROWID",
            "BEGIN",
        ):
            self._database.execute(statement)

    def __enter__(self) -> Self:
        """Return this set."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the file."""
        self.close()

    def close(self) -> None:
        """Let go of the file; calling it again does nothing."""
        self._database.close()

    def add(self, record: MemoryRecord) -> bool:
        """Note a memory; return whether its owner had none of this id yet."""
        names = (_digest(record.user_id), _digest(record.id))
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", names).rowcount == 1


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()

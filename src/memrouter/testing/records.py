"""Memories for tests: the same on every run, with no clock and no randomness of their own."""

import hashlib
import itertools
import unicodedata
from typing import Any

import numpy as np
from msgspec.structs import replace

from memrouter.models.memory import MemoryRecord, Vector, unit
from memrouter.stores.base import Capabilities

NOW = 1_750_000_000_000
"""The time of tests, in milliseconds since the epoch."""

HOSTILE_IDENTITIES: tuple[str, ...] = (
    "*", "a", "b", "a|b", "a,b", "a b", " a", "a ", "User", "user", "USER", "Straße", "STRASSE",
    "o'brien", 'say "hi"', "`tick`", "{a}", "{a|b}", "(a)", "[a]", "<a>", "-a", "@owner:{a}", "~a", "a:b", "a::b",
    "%", "_", "a%", "a_", "\\", "a\\", "$a", "a;--", "' OR 1=1 --", "null", "None", "0", "../a", "a/b", "?",
    unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), "\u00c5", "\u212b", "\ufb01", "fi",
    "🧠", "👩‍👩‍👧", "用户", "مستخدم", "a\u200b", "a\u00a0", "\ufeffa", "x" * 256, "x" * 255, "🧠" * 256,
)  # fmt: skip
"""User and project ids that are all different people, and that careless escaping or folding makes one."""


def text_vector(text: str, dimension: int) -> Vector:
    """Return a unit vector that depends on ``text`` alone; those of two texts are as good as unrelated."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return unit(np.random.default_rng(seed).standard_normal(dimension))


class RecordFactory:
    """Makes memories that fit one store, each newer than the one before by a millisecond.

    Args:
        capabilities: Those of the store.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._numbers = itertools.count(1)

    def vector(self, text: str) -> Vector:
        """Return the vector that a memory with this content gets."""
        return text_vector(text, self._capabilities.dimension)

    def make(self, content: str = "", *, user_id: str = "alice", **changes: Any) -> MemoryRecord:
        """Return a memory.

        Args:
            content: Its text; empty makes up a different one each time.
            user_id: Its owner.
            changes: Other fields of the record.
        """
        number = next(self._numbers)
        text = content or f"fact number {number}"
        record = MemoryRecord(
            id=f"m{number:012d}",
            user_id=user_id,
            content=text,
            embedding=self.vector(text),
            embedding_model=self._capabilities.embedding_model,
            created_at=NOW + number,
            updated_at=NOW + number,
        )
        return replace(record, **changes)

    def many(self, number: int, **changes: Any) -> list[MemoryRecord]:
        """Return ``number`` memories with the same ``changes``, oldest first."""
        return [self.make(**changes) for _ in range(number)]


def plain(record: MemoryRecord) -> dict[str, Any]:
    """Return every field of a memory in a form that can be compared; the vector bit by bit."""
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    return values | {"embedding": record.embedding.tobytes()}

"""Entries of ``state`` as entities, and what several of one entry say together.

An entity is never changed. An entry stands in its value of the highest version; a removal is a value too, without a
text, that stays for some minutes. A claim is no value: it says that somebody is about to replace a version.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from memrouter.stores.milvus.connection import Row
from memrouter.stores.milvus.rows import NEVER
from memrouter.stores.state import StateEntry

VALUE, REMOVED, CLAIM = "value", "removed", "claim"

SMALL: Final = ("key", "space", "name", "kind", "version", "expires_at")
"""Fields of an entity but its text."""

_DIGEST_CHARS: Final = 32


@dataclass(frozen=True, slots=True)
class Fact:
    """One entity.

    Attributes:
        key: Its primary key.
        space: Of the entry.
        name: The entry's key.
        kind: ``value``, ``removed`` or ``claim``.
        version: Of the value; for a claim, the version that is to be replaced.
        expires_at: When it is over, in milliseconds since the epoch; for a removal or a claim, when it was made.
        text: The value, in base64; empty where it was not read.
    """

    key: str
    space: str
    name: str
    kind: str
    version: int
    expires_at: int = NEVER
    text: str = ""

    def row(self) -> Row:
        """Return the entity for the server."""
        row: Row = {name: getattr(self, name) for name in SMALL}
        return row | {"text": self.text, "nothing": [0.0, 1.0]}

    def entry(self) -> StateEntry:
        """Return the entry of a value."""
        expires_at = None if self.expires_at == NEVER else self.expires_at
        return StateEntry(self.name, base64.b64decode(self.text), self.version, expires_at)


@dataclass(slots=True)
class Slot:
    """What is known of one entry.

    Attributes:
        values: Its values and removals, whatever their version.
        claims: Who is about to replace a version.
    """

    values: list[Fact] = field(default_factory=list)
    claims: list[Fact] = field(default_factory=list)

    @property
    def newest(self) -> Fact | None:
        """Return what stands; None where nothing was ever written, or it is forgotten."""
        return max(self.values, key=_rank, default=None)

    @property
    def basis(self) -> int:
        """Return the highest version that was ever seen, also of what is gone; 0 for none."""
        return 0 if self.newest is None else self.newest.version

    @property
    def held(self) -> Fact | None:
        """Return the value that stands, expired or not; None where there is none."""
        newest = self.newest
        return newest if newest is not None and newest.kind == VALUE else None

    def living(self, now: int) -> Fact | None:
        """Return the value that has not expired at ``now``."""
        held = self.held
        return held if held is not None and held.expires_at > now else None

    def over(self, before: int) -> list[str]:
        """Return the primary keys of what can go, what stands last: else what it has replaced would stand again."""
        claims = [claim.key for claim in self.claims if claim.expires_at < before]
        values = sorted(self.values, key=_rank)
        ended = not values or values[-1].expires_at < before
        return [*claims, *(fact.key for fact in (values if ended else values[:-1]))]

    def value_keys(self) -> list[str]:
        """Return the primary keys of all values and removals."""
        return [fact.key for fact in self.values]


def fact_of(row: Row) -> Fact:
    """Return what an entity says."""
    texts: dict[str, Any] = {name: str(row[name]) for name in ("key", "space", "name", "kind")}
    return Fact(
        **texts, version=int(row["version"]), expires_at=int(row["expires_at"]), text=str(row.get("text") or "")
    )


def slots_of(facts: Iterable[Fact]) -> dict[tuple[str, str], Slot]:
    """Return what is known of each entry, by space and key."""
    slots: dict[tuple[str, str], Slot] = {}
    for fact in facts:
        slot = slots.setdefault((fact.space, fact.name), Slot())
        (slot.claims if fact.kind == CLAIM else slot.values).append(fact)
    return slots


def encoded(value: bytes) -> str:
    """Return the text of a value."""
    return base64.b64encode(value).decode()


def fact_key(space: str, name: str, nonce: str) -> str:
    """Return the primary key of a new entity."""
    digest = hashlib.sha256(f"{space} {name}".encode()).hexdigest()
    return f"{digest[:_DIGEST_CHARS]}:{nonce}"


def _rank(fact: Fact) -> tuple[int, str]:
    return fact.version, fact.key

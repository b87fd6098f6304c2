"""The names of an owner's keys. All of one owner's keys share a slot: the owner digest is their hash tag."""

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from memrouter.errors import ConfigError, ConfigProblem
from memrouter.models.memory import Scope, owner_key

STATE_SLOTS: Final = 64
"""Groups that the spaces of small facts fall into; those of a group share a slot and a counter."""

_TAGGED = re.compile(rb"\{([0-9a-f]{32})\}:(.+)", re.DOTALL)
_SPACE = re.compile(rb"\{[0-9]{1,2}\}:([!-~]+)")


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    """The keys of one owner.

    Attributes:
        base: What stands before a memory's id: ``mem:{<owner>}:``.
        ids: ZSET of the owner's memory ids by ``created_at``: membership, order and totals.
        generation: Counter that every write raises; never deleted.
        access: HASH id -> ``count:last_ms`` (``last_ms`` empty for never).
        content: ZSET, all scores 0, of ``twin_member``: finds equal contents. Those of memories of format 1 hold the
            digests of content and scope whole.
    """

    base: str
    ids: str
    generation: str
    access: str
    content: str

    def memory(self, memory_id: str) -> str:
        """Return the key of one memory."""
        return self.base + memory_id

    @property
    def next_vectors(self) -> str:
        """Return the key of the vectors that a reindex has made and not yet moved: HASH id -> text digest + vector."""
        return f"~{self.base}next"

    @property
    def sides(self) -> tuple[str, str, str, str]:
        """Return the keys beside the memories, in the order in which scripts that write take them."""
        return self.ids, self.generation, self.access, self.content


@dataclass(frozen=True, slots=True)
class StateKeys:
    """The keys of one space of small facts.

    Attributes:
        clock: Counter that gives versions, shared with other spaces; never deleted.
        entries: ZSET of the names of the space's entries by the time at which they expire.
    """

    clock: str
    entries: str

    def entry(self, name: str) -> str:
        """Return the key of one entry; names hold no blank."""
        return f"{self.entries} {name}"


class Keys:
    """Names keys under one prefix.

    Only memories stand under the prefix, so that only they reach the index; side keys begin with ``~``.

    Args:
        prefix: ``collection_prefix`` of the configuration.

    Raises:
        ConfigError: The prefix holds a brace, which would set the slot, or side keys would stand under it.
    """

    def __init__(self, prefix: str) -> None:
        if not prefix.strip("~") or "{" in prefix or "}" in prefix:
            raise ConfigError(
                [
                    ConfigProblem(
                        file="<configuration>",
                        line=None,
                        key="global.stores.memory.valkey.collection_prefix",
                        found=repr(prefix),
                        allowed="a text without braces that does not consist of ~ alone, such as mem:",
                    )
                ]
            )
        self.prefix = prefix

    @property
    def meta(self) -> str:
        """Return the key of what routers share about the index (HASH: embedding_model, dimension, format)."""
        return meta_key(self.prefix)

    @property
    def pattern(self) -> str:
        """Return the glob pattern of all memories' keys, for SCAN."""
        return self._glob + "*"

    @property
    def owners_pattern(self) -> str:
        """Return the glob pattern of all owners' ``ids``, for SCAN."""
        return f"~{self._glob}{{*}}:ids"

    @property
    def next_pattern(self) -> str:
        """Return the glob pattern of all owners' ``next_vectors``, for SCAN."""
        return f"~{self._glob}{{*}}:next"

    @property
    def _glob(self) -> str:
        return _literal(self.prefix)

    def of(self, owner: str) -> OwnerKeys:
        """Return the keys of an owner; ``owner`` is an owner digest, 32 hex digits."""
        base = f"{self.prefix}{{{owner}}}:"
        side = f"~{base}"
        return OwnerKeys(base, f"{side}ids", f"{side}gen", f"{side}access", f"{side}content")

    def of_user(self, user_id: str) -> OwnerKeys:
        """Return the keys of a user."""
        return self.of(owner_key(user_id))

    def of_scope(self, scope: Scope) -> OwnerKeys:
        """Return the keys of a scope's user."""
        return self.of(scope.owner)

    def state(self, space: str) -> StateKeys:
        """Return the keys of a space of small facts; ``space`` is a checked name."""
        clock = f"~{self.prefix}state:{{{binascii.crc32(space.encode()) % STATE_SLOTS}}}"
        return StateKeys(clock, f"{clock}:{space}")

    def spaces_pattern(self, prefix: str) -> str:
        """Return the glob pattern of the ``entries`` of all spaces that begin with ``prefix``, for SCAN."""
        return f"~{self._glob}state:{{*}}:{_literal(prefix)}*"

    def space_of(self, key: bytes) -> str | None:
        """Return the name of the space of a key that is some space's ``entries``; None for any other key."""
        found = _SPACE.fullmatch(key.removeprefix(f"~{self.prefix}state:".encode()))
        return None if found is None else found[1].decode()

    def untagged(self, memory_id: str) -> str:
        """Return the key under which the Go router keeps a memory."""
        return self.prefix + memory_id

    def parse(self, key: bytes) -> tuple[str, str] | None:
        """Return the owner digest and the id behind a memory's key; None for a key without a tag."""
        found = _TAGGED.fullmatch(key.removeprefix(self.prefix.encode()))
        return None if found is None else (found[1].decode(), found[2].decode(errors="replace"))

    def untagged_of(self, ids: Iterable[str]) -> list[str]:
        """Return the keys under which the Go router may keep memories with these ids: never another kind of key."""
        return [key for memory_id in ids if self.is_untagged((key := self.untagged(memory_id)).encode())]

    def is_untagged(self, key: bytes) -> bool:
        """Return whether the Go router may keep a memory under a key that begins with the prefix."""
        return self.parse(key) is None and not key.startswith(f"{self.prefix}{{canary".encode())

    def owner_of(self, key: bytes) -> str | None:
        """Return the owner digest of a key that is some owner's ``ids``; None for any other key."""
        found = self.parse(key.removeprefix(b"~")) if key.startswith(b"~") else None
        return found[0] if found is not None and found[1] == "ids" else None


def _literal(text: str) -> str:
    """Return the glob pattern that only ``text`` matches."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def meta_key(prefix: str) -> str:
    """Return the key of what routers share about the index of a prefix."""
    return f"~{prefix}meta"

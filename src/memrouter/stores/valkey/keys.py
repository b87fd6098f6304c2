"""The names of an owner's keys. All of one owner's keys share a slot: the owner digest is their hash tag."""

import re
from dataclasses import dataclass

from memrouter.errors import ConfigError, ConfigProblem
from memrouter.models.memory import Scope, owner_key

_TAGGED = re.compile(rb"\{([0-9a-f]{32})\}:(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    """The keys of one owner.

    Attributes:
        base: What stands before a memory's id: ``mem:{<owner>}:``.
        ids: ZSET of the owner's memory ids by ``created_at``: membership, order and totals.
        generation: Counter that every write raises; never deleted.
        access: HASH id -> ``count:last_ms`` (``last_ms`` empty for never).
        content: ZSET, all scores 0, of content digest + scope digest + id: finds equal contents.
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
        return re.sub(r"([*?\[\]\\])", r"\\\1", self.prefix)

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

    def untagged(self, memory_id: str) -> str:
        """Return the key under which the Go router keeps a memory."""
        return self.prefix + memory_id

    def parse(self, key: bytes) -> tuple[str, str] | None:
        """Return the owner digest and the id behind a memory's key; None for a key without a tag."""
        found = _TAGGED.fullmatch(key.removeprefix(self.prefix.encode()))
        return None if found is None else (found[1].decode(), found[2].decode(errors="replace"))

    def is_untagged(self, key: bytes) -> bool:
        """Return whether the Go router may keep a memory under a key that begins with the prefix."""
        return self.parse(key) is None and not key.startswith(f"{self.prefix}{{canary".encode())

    def owner_of(self, key: bytes) -> str | None:
        """Return the owner digest of a key that is some owner's ``ids``; None for any other key."""
        found = self.parse(key.removeprefix(b"~")) if key.startswith(b"~") else None
        return found[0] if found is not None and found[1] == "ids" else None


def meta_key(prefix: str) -> str:
    """Return the key of what routers share about the index of a prefix."""
    return f"~{prefix}meta"

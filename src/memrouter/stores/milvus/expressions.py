"""Filter expressions of Milvus. Every text in them goes through ``quoted``."""

from collections.abc import Iterable
from unicodedata import category

from memrouter.models.memory import MAX_ID_CHARS, owner_key

META_TYPES = ("~generation", "~gone", "~access", "~open")
"""``memory_type`` of the rows that are no memories; no memory has such a type."""

GENERATION, GONE, ACCESS, OPEN = META_TYPES


def quoted(text: str) -> str:
    """Return a text as a string literal, of which no character has a meaning of its own.

    Args:
        text: Without control characters and lone surrogates.
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def one_of(field: str, texts: Iterable[str]) -> str:
    """Return an expression that holds where a field has one of the texts."""
    return f"{field} in [{', '.join(quoted(text) for text in texts)}]"


def meta_user(user_id: str) -> str:
    """Return the ``user_id`` of an owner's rows that are no memories."""
    return f"~{owner_key(user_id)}"


def of_owners(user_ids: Iterable[str], *, memories: str = "") -> str:
    """Return an expression for everything of some owners, their rows that are no memories included.

    Args:
        user_ids: The owners.
        memories: What a memory has to fulfil; empty for every memory.
    """
    users = list(user_ids)
    owned = one_of("user_id", [*users, *map(meta_user, users)])
    return f"{owned} and ({one_of('memory_type', META_TYPES)} or {memories})" if memories else owned


def storable(memory_id: str) -> bool:
    """Return whether a memory of this store can have the id."""
    return 0 < len(memory_id) <= MAX_ID_CHARS and not any(category(char) in ("Cc", "Cs") for char in memory_id)

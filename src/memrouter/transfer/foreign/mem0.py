"""Memories of mem0: what ``get_all()`` and its export give back, and what its vector stores hold."""

from collections.abc import Mapping
from typing import Any, Final

from memrouter.models.memory import MemoryType
from memrouter.transfer.foreign.fields import DAY_MS, Fields, end_of_day
from memrouter.transfer.foreign.memory import ForeignMemory

LISTS: Final = ("results", "memories")
"""Under these names a document holds its memories."""

KNOWN: Final = frozenset(
    {
        "actor_id",
        "attributed_to",
        "categories",
        "immutable",
        "metadata",
        "owner",
        "organization",
        "structured_attributes",
    }
)
_DERIVED: Final = ("hash", "score", "text_lemmatized", "embedding", "vector", "input")
"""What mem0 makes from the text, or from a search; nothing is lost with it."""


def from_mem0(item: Mapping[str, Any]) -> ForeignMemory:
    """Return a memory of mem0.

    Raises:
        InvalidRequest: A field of it has another form; the message names it.
    """
    fields = Fields(_flat(item), known=KNOWN)
    for name in _DERIVED:
        fields.value(name)
    metadata = fields.value("metadata")
    kind = metadata.get("memory_type") if isinstance(metadata, dict) else fields.text("memory_type")
    more = isinstance(metadata, dict) and set(metadata) - {"memory_type"}
    expires = fields.moment("expiration_date")
    return ForeignMemory(
        content=fields.text("memory") or fields.text("data"),
        id=fields.text("id") or fields.text("memory_id"),
        user=fields.text("user_id"),
        project=fields.text("agent_id") or fields.text("app_id"),
        conversation=fields.text("run_id"),
        type=_type(kind),
        role=fields.text("role"),
        created=fields.moment("created_at"),
        updated=fields.moment("updated_at"),
        expires=end_of_day(expires) if expires is not None and expires % DAY_MS == 0 else expires,
        dropped=fields.unread + (("metadata",) if more or isinstance(metadata, str) else ()),
    )


def _flat(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a memory whose fields stand beside its id, as a vector store keeps them under ``payload``."""
    payload = item.get("payload")
    return {**payload, "id": item.get("id")} if isinstance(payload, dict) else item


def _type(kind: object) -> MemoryType:
    match kind:
        case "procedural_memory" | "procedural":
            return MemoryType.PROCEDURAL
        case "episodic_memory" | "episodic":
            return MemoryType.EPISODIC
        case _:
            return MemoryType.SEMANTIC

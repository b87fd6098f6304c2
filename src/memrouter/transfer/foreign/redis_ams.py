"""Memories of Redis Agent Memory Server: long-term ones as its API gives them back, and as its server keeps them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from memrouter.models.memory import MemoryType
from memrouter.transfer.foreign.fields import Fields
from memrouter.transfer.foreign.memory import ForeignMemory

LISTS: Final = ("memories", "results")
"""Under these names a document holds its memories; a working memory has them under the first one too."""

KNOWN: Final = frozenset({"entities", "extracted_from", "metadata", "topics"})
_DERIVED: Final = (
    "memory_hash", "discrete_memory_extracted", "persisted_at", "extraction_strategy", "extraction_strategy_config",
    "dist", "score", "score_type", "vector", "embedding",
)  # fmt: skip
"""How the server made, found or keeps it; nothing is lost with it."""


def from_redis_ams(item: Mapping[str, Any]) -> ForeignMemory:
    """Return a memory of Redis Agent Memory Server. The date of an event that the text does not name is put behind it.

    Raises:
        InvalidRequest: A field of it has another form; the message names it.
    """
    fields = Fields(item, known=KNOWN)
    for name in _DERIVED:
        fields.value(name)
    return ForeignMemory(
        content=_dated(fields.text("text"), fields.moment("event_date")),
        id=fields.text("id") or fields.text("id_"),
        user=fields.text("user_id"),
        project=fields.text("namespace"),
        conversation=fields.text("session_id"),
        type=MemoryType.SEMANTIC if fields.text("memory_type") in (None, "semantic") else MemoryType.EPISODIC,
        created=fields.moment("created_at"),
        updated=fields.moment("updated_at"),
        accessed=fields.moment("last_accessed"),
        access_count=fields.count("access_count"),
        pinned=fields.flag("pinned"),
        dropped=fields.unread,
    )


def _dated(text: str | None, event: int | None) -> str | None:
    if not text or event is None:
        return text
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event)).strftime("%Y-%m-%d")
    return text if day in text else f"{text} (on {day})"

"""Fields of forms, which are all text, into what the memory routes take as JSON. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from memrouter.api.body import decode_json
from memrouter.api.memory_forms import MemoryChange, NewMemory, Replacement
from memrouter.api.memory_views import MemoryView
from memrouter.errors import InvalidRequest

_MINUTE: Final = "%Y-%m-%dT%H:%M"


def text_of(form: Mapping[str, str], name: str = "content") -> str:
    """Return a text with the line ends that it had: browsers send all of them as CR LF."""
    return form.get(name, "").replace("\r\n", "\n").replace("\r", "\n")


def minute(ms: int | None) -> str:
    """Return a time as a field for date and time shows it, in UTC; empty for none."""
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime(_MINUTE)


def change_of(form: Mapping[str, str], memory: MemoryView) -> MemoryChange | None:
    """Return what a form changes in a memory; None where it is as it was.

    Raises:
        InvalidRequest: A field is out of range; ``param`` names it.
    """
    changed: dict[str, Any] = {}
    if (content := text_of(form)) != memory.content.replace("\r\n", "\n").replace("\r", "\n"):
        changed["content"] = content
    if (kind := form.get("type", memory.type)) != memory.type:
        changed["type"] = kind
    if (importance := _fraction(form.get("importance", ""))) not in (None, round(memory.importance, 2)):
        changed["importance"] = importance
    if (expiry := form.get("expires_at", "")) != minute(memory.expires_at):
        changed["expires_at"] = _moment(expiry)
    return decode_json(json.dumps(changed).encode(), MemoryChange) if changed else None


def replacement_of(form: Mapping[str, str]) -> Replacement:
    """Return what is to stand in the place of a memory.

    Raises:
        InvalidRequest: The text cannot be kept.
    """
    return decode_json(json.dumps({"content": text_of(form)}).encode(), Replacement)


def new_memory_of(form: Mapping[str, str]) -> NewMemory:
    """Return a memory to add.

    Raises:
        InvalidRequest: A field is out of range; ``param`` names it.
    """
    fields = {"content": text_of(form), "type": form.get("type", "semantic")}
    return decode_json(json.dumps(fields).encode(), NewMemory)


def _fraction(text: str) -> float | None:
    """Return a number; None for an empty field. Whether it fits is checked with the rest."""
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise InvalidRequest("importance: is a number from 0 to 1", param="importance") from None


def _moment(text: str) -> str | None:
    """Return a date and time in UTC as JSON has it; None for an empty field."""
    try:
        return datetime.strptime(text, _MINUTE).replace(tzinfo=UTC).isoformat() if text else None
    except ValueError:
        raise InvalidRequest("expires_at: is a date and a time", param="expires_at") from None

"""What the tools say to the model; what users wrote stands in it as escaped data. Pure."""

import json
from collections.abc import Sequence

from memrouter.mcp.views import moment
from memrouter.memory.injection.blocks import escape, render_records
from memrouter.models.history import HistoryEntry
from memrouter.models.memory import MemoryRecord


def render(records: Sequence[MemoryRecord], *, now: int) -> str:
    """Return memories, at least one, as the block that stands in prompts, each with its id."""
    return render_records(records, now=now, named=True)


def describe_page(block: str, *, total: int, next_cursor: str | None) -> str:
    """Return a page of a list: the block, empty where nothing is on the page, and where to go on."""
    count = f"{total} in all." if total else "Nothing is remembered."
    more = f" More with cursor {next_cursor}" if next_cursor else ""
    return "\n".join(filter(None, (block, count + more)))


def describe_events(entries: Sequence[HistoryEntry]) -> str:
    """Return what happened to a memory, one line each, oldest first."""
    return "\n".join(("What happened to it:", *map(_line, entries)))


def _line(entry: HistoryEntry) -> str:
    fields = {"at": moment(entry.at).isoformat(), "event": entry.event, "by": entry.actor}
    noted = {"rule": entry.rule, "ref": entry.ref}
    return escape(json.dumps({**fields, **{name: value for name, value in noted.items() if value}}))

"""Templates into pages."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from memrouter.api.memory_views import rfc3339
from memrouter.inspector.shown_text import brief, plain, shown
from memrouter.inspector.static_files import StaticFiles
from memrouter.memory.storing.drafts import MAX_TIME_MS

FOLDER: Final = Path(__file__).parent / "templates"

_UNITS: Final = (
    (365 * 86_400_000, "year"),
    (30 * 86_400_000, "month"),
    (86_400_000, "day"),
    (3_600_000, "hour"),
    (60_000, "minute"),
)


class Pages:
    """Renders templates; everything that they are given is escaped. Built at the first page, not at the start.

    Args:
        static: Files that pages name.
    """

    def __init__(self, static: StaticFiles) -> None:
        self._static = static

    async def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a page; rendered in a thread.

        Args:
            template: Path of the template below ``templates``.
            values: What it names; one that is missing is an error.
        """
        return await asyncio.to_thread(self.render_here, template, values)

    def render_here(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a page, rendered in this thread; see ``render``."""
        return self._environment.get_template(template).render(values)

    @cached_property
    def _environment(self) -> Environment:
        made = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters.update(shown=shown, brief=brief, plain=plain, moment=moment, ago=ago, number=number)
        made.globals.update(asset=self._static.url)
        return made


def moment(ms: int) -> Markup:
    """Return a time in UTC, to the second; the script puts the reader's own time beside it."""
    return Markup('<time datetime="{}">{}</time>').format(rfc3339(ms), _utc(ms))


def ago(ms: int, now: int) -> Markup:
    """Return how long ago a time was, or how far ahead it is, with the time itself as the title."""
    size = abs(now - ms)
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (0, ""))
    count = size // unit if unit else 0
    span = f"{count} {name}{'' if count == 1 else 's'}"
    words = "just now" if not unit else f"{span} ago" if ms <= now else f"in {span}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(rfc3339(ms), _utc(ms), words)


def number(value: float) -> str:
    """Return a whole number with thin spaces between thousands, or a fraction with three digits."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if isinstance(value, int) else f"{value:.3f}"


def _utc(ms: int) -> str:
    when = datetime.fromtimestamp(min(max(ms, 0), MAX_TIME_MS) / 1000, UTC)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")

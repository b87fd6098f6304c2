"""Reading the fields of one foreign memory, and noticing which of them nobody asked for."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from memrouter.errors import InvalidRequest
from memrouter.memory.storing.drafts import MAX_TIME_MS

DAY_MS: Final = 86_400_000

_FIRST_MILLISECONDS: Final = 100_000_000_000
"""A number from here on counts milliseconds, below it seconds: as seconds it would be after the year 5100."""


class Fields:
    """One foreign memory. A field that is absent, null or empty reads as None.

    Args:
        item: Its JSON object.
        known: Names that may be called by their names in a report; what else is not read is called ``other``.
    """

    def __init__(self, item: Mapping[str, Any], *, known: frozenset[str]) -> None:
        self._item = item
        self._known = known
        self._read: set[str] = set()

    def value(self, name: str) -> Any:
        """Return the value of a field, whatever it is."""
        self._read.add(name)
        value = self._item.get(name)
        return None if value in ("", [], {}) else value

    def text(self, name: str) -> str | None:
        """Return a text.

        Raises:
            InvalidRequest: It is something else.
        """
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value
        raise InvalidRequest(f"its {name} is no text")

    def count(self, name: str) -> int:
        """Return a number from 0; 0 where there is none.

        Raises:
            InvalidRequest: It is something else.
        """
        value = self.value(name)
        if value is None:
            return 0
        if isinstance(value, str) and value.isdecimal() and len(value) < 16:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InvalidRequest(f"its {name} is no number from 0")
        return value

    def flag(self, name: str) -> bool:
        """Return whether something is so; hashes of a server say it with ``1`` and ``true``."""
        return self.value(name) in (True, 1, "1", "true", "True")

    def moment(self, name: str) -> int | None:
        """Return a time in milliseconds since the epoch, from ISO 8601 or a number of seconds or milliseconds.

        Raises:
            InvalidRequest: It is no time between 1970 and 9999.
        """
        value = self.value(name)
        if value is None:
            return None
        moment = _moment(value)
        if moment is None or not 0 <= moment <= MAX_TIME_MS:
            raise InvalidRequest(f"its {name} is no time")
        return moment

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the fields that say something and were not read."""
        left = [
            name for name, value in self._item.items() if name not in self._read and value not in (None, "", [], {})
        ]
        return tuple(sorted({name if name in self._known else "other" for name in left}))


def end_of_day(midnight: int) -> int:
    """Return when the day ends that begins at a time, both in milliseconds since the epoch."""
    return midnight + DAY_MS


def _moment(value: object) -> int | None:
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            try:
                return _moment(float(value))
            except ValueError:
                return None
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        return None
    return int(value) if abs(value) >= _FIRST_MILLISECONDS else round(value * 1000)

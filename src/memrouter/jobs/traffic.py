"""How many requests are being served, for work that can wait."""

from types import TracebackType
from typing import Self


class Traffic:
    """Counts the requests in work; for one event loop."""

    def __init__(self) -> None:
        self._in_work = 0

    @property
    def busy(self) -> bool:
        """Return whether any request is in work."""
        return self._in_work > 0

    def request(self) -> Self:
        """Return a context that counts one request for as long as it lasts."""
        return self

    def __enter__(self) -> None:
        self._in_work += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_work -= 1

"""How many requests are being served, for work that can wait."""

from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """Counts the requests in work; for one event loop."""

    def __init__(self) -> None:
        self._in_work = 0

    @property
    def busy(self) -> bool:
        """Return whether any request is in work."""
        return self._in_work > 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one request for as long as the context lasts."""
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

"""Counting that is put off until nobody waits for it."""

from collections import deque
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

MOST_NOTES: Final = 1_000
"""How many may wait; many more than some requests leave together, and less than 1 MB."""

P = ParamSpec("P")
T = TypeVar("T", bound="TakesNotes")


class TakesNotes:
    """Base of what counts by methods that are ``noted``: a call of one waits until ``settle``.

    Safe in any thread. Calls are made in their order, and by themselves when ``MOST_NOTES`` wait.
    """

    def __init__(self) -> None:
        self._notes: deque[tuple[Callable[..., None], tuple[Any, ...], dict[str, Any]]] = deque()
        self._settling = Lock()

    def settle(self) -> None:
        """Make every call that waits; on return, what was noted before is counted, whoever counted it."""
        with self._settling:
            while self._notes:
                count, args, kwargs = self._notes.popleft()
                count(self, *args, **kwargs)


def noted(count: Callable[Concatenate[T, P], None]) -> Callable[Concatenate[T, P], None]:
    """Return a method that only notes its call, which takes a tenth of the time of counting. It must not raise."""

    @wraps(count)
    def note(self: T, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self._notes.append((count, args, kwargs))
        if len(self._notes) >= MOST_NOTES:
            self.settle()

    return note

"""A store whose calls can be made to fail one after the other, as they come or once they were carried out."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from memrouter.errors import StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Change

OpenStore = Callable[[], Awaitable[MemoryStore]]
"""Opens the store of one more router on the same server, for vectors of DIMENSION."""

DIMENSION = 64
MODEL = f"hash-{DIMENSION}"
OUTDATES = "commit of nothing"
"""Name of a commit that changes no memory."""
WRITES = frozenset({"commit", "delete", "merge", "put", OUTDATES})
"""Names of the calls that change something."""


class Breaking:
    """A store in front of another, of whose calls number ``fail_at`` fails.

    Args:
        inner: Does the work.
        only: Names of the calls that are counted, those of the small facts too; None for all.

    Attributes:
        fail_at: Number of the call that fails, from 0; None for none.
        late: Whether it is carried out first, so that only its answer is lost.
        calls: Names of the calls that were counted.
    """

    def __init__(self, inner: MemoryStore, *, only: frozenset[str] | None = None) -> None:
        self._inner = inner
        self._only = only
        self.fail_at: int | None = None
        self.late = False
        self.calls: list[str] = []

    def break_at(self, number: int | None, *, late: bool = False) -> None:
        """Count from 0 again, and let the call of this number fail; None for none."""
        self.calls = []
        self.fail_at, self.late = number, late

    @property
    def state(self) -> Any:
        """Return the small facts, whose calls fail too."""
        return _BreakingPart(self, self._inner.state)

    def __getattr__(self, name: str) -> Any:
        return _breaking(self, self._inner, name)

    async def called(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call, or fail."""
        if self._only is not None and name not in self._only:
            return await call()
        self.calls.append(name)
        fails = len(self.calls) - 1 == self.fail_at
        if fails and not self.late:
            raise StoreUnavailable("broken on purpose")
        answer = await call()
        if fails:
            raise StoreUnavailable("broken on purpose")
        return answer


class Meeting:
    """A store in front of another, whose next change waits until that of every other guest is planned as well.

    Args:
        inner: Does the work.
        planned: Shared by all who meet.
    """

    def __init__(self, inner: MemoryStore, planned: asyncio.Barrier) -> None:
        self._inner = inner
        self._planned = planned
        self.meets = False

    async def commit(self, change: Change) -> int | None:
        if self.meets:
            self.meets = False
            await self._planned.wait()
        return await self._inner.commit(change)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _BreakingPart:
    def __init__(self, whole: Breaking, inner: object) -> None:
        self._whole = whole
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return _breaking(self._whole, self._inner, name)


def _breaking(whole: Breaking, inner: object, name: str) -> Any:
    found = getattr(inner, name)
    if inspect.isasyncgenfunction(found) or name in ("scan", "entries", "spaces"):

        async def pages(*args: Any, **options: Any) -> AsyncIterator[Any]:
            iterator = found(*args, **options)
            while (page := await whole.called(name, lambda: anext(iterator, None))) is not None:
                yield page

        return pages
    if not inspect.iscoroutinefunction(found):
        return found

    async def call(*args: Any, **options: Any) -> Any:
        of_nothing = name == "commit" and not args[0].put and not args[0].remove
        return await whole.called(OUTDATES if of_nothing else name, lambda: found(*args, **options))

    return call

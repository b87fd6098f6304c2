"""A store that is stopped, or looked at, between two steps of a write."""

from collections.abc import Awaitable, Callable
from typing import Any

from memrouter.stores.milvus.store import MilvusStore

STEPS = ("insert", "delete", "query")


class Watched:
    """Stands before a store's connection: stops behind a number of steps, as a killed process does, or calls a hook.

    Args:
        store: Whose connection.
        steps: After so many the process is dead; the last one was still made.
        before_insert: Called once, just before the first insert.
        after_insert: Called once, just behind it.
    """

    def __init__(
        self,
        store: MilvusStore,
        *,
        steps: int = 1000,
        before_insert: Callable[[], Awaitable[object]] | None = None,
        after_insert: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._left = steps
        self._hooks = [before_insert, after_insert]
        for name in STEPS:
            setattr(store._connection, name, self._step(getattr(store._connection, name), name))

    def _step(self, inner: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
        async def step(*args: Any, **options: Any) -> Any:
            if self._left <= 0:
                raise RuntimeError("killed")
            await self._call(0, name)
            result = await inner(*args, **options)
            self._left -= 1
            if self._left <= 0:
                raise RuntimeError("killed")
            await self._call(1, name)
            return result

        return step

    async def _call(self, place: int, name: str) -> None:
        hook = self._hooks[place]
        if hook is not None and name == "insert":
            self._hooks[place] = None
            await hook()

"""A client whose server is lost at one of the steps that it takes."""

from collections.abc import Awaitable, Callable
from typing import Any

from glide import ConnectionError as Lost

from memrouter.stores.valkey.store import ValkeyStore


class CuttingClient:
    """Passes commands on to a store's own client, up to the step at which the connection is lost.

    Args:
        store: From now on it uses this client.
        step: Number of the command or batch at which it is lost, from 0.
        answered: Whether the server still does what it is told there, so that only its answer is lost.
        lose: What happens to the server then.
    """

    def __init__(
        self, store: ValkeyStore, *, step: int, answered: bool, lose: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._connection = store._connection
        self._client = self._connection._client
        self._connection._client = self
        self._left = step
        self._answered = answered
        self._lose = lose
        self.lost = False

    def mend(self) -> None:
        """Let the store use its own client again."""
        self._connection._client = self._client

    async def custom_command(self, *args: Any) -> Any:
        return await self._passed(self._client.custom_command, *args)

    async def exec(self, *args: Any, **options: Any) -> Any:
        return await self._passed(self._client.exec, *args, **options)

    async def _passed(self, call: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        self._left -= 1
        if self._left >= 0:
            return await call(*args, **options)
        if self.lost:
            raise Lost("lost")
        self.lost = True
        if self._answered:
            await call(*args, **options)
        if self._lose is not None:
            await self._lose()
        raise Lost("lost")

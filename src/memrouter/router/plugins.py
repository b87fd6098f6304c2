"""The seam for steps around the upstream call. Built-in plugins use it like any other."""

from collections.abc import Sequence
from typing import Protocol

from memrouter.models.turn import Reply, Turn


class Plugin(Protocol):
    """A step around the upstream call.

    A plugin lives as long as the router and serves many requests at once: what belongs to one request is kept in its
    Turn. It is built with the settings of all decisions and looks up its own by ``turn.decision``.
    """

    @property
    def name(self) -> str:
        """Return the plugin's type in the configuration."""
        ...

    async def before_upstream(self, turn: Turn) -> None:
        """Change what is sent: ``turn.draft``, ``turn.upstream_headers``. An exception fails the request."""
        ...

    async def after_response(self, turn: Turn, reply: Reply) -> None:
        """See what came back, after the last byte was sent. Must not wait for slow work; queue it."""
        ...


class PluginChain:
    """Plugins in the order in which they change a request.

    Args:
        plugins: First to last; replies are shown to them in the same order.
    """

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = tuple(plugins)

    async def before_upstream(self, turn: Turn) -> None:
        """Let every plugin change the request."""
        for plugin in self._plugins:
            await plugin.before_upstream(turn)

    async def after_response(self, turn: Turn, reply: Reply) -> None:
        """Show every plugin the reply."""
        for plugin in self._plugins:
            await plugin.after_response(turn, reply)

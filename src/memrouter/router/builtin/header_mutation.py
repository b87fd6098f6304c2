"""The ``header_mutation`` plugin: a route's changes to the headers of the upstream request."""

from collections.abc import Mapping, Sequence

from memrouter.config.routing import DecisionSettings, HeaderMutationPlugin, HeaderMutationSettings
from memrouter.errors import ConfigError, ConfigProblem
from memrouter.models.turn import Reply, Turn
from memrouter.upstream.headers import HOP_BY_HOP

_RESERVED = HOP_BY_HOP | {"content-encoding", "content-length", "expect", "host"}
"""Headers that say where a message ends or belong to one connection: the HTTP client alone sets them."""


class HeaderMutation:
    """Removes, then adds where absent, then sets headers of the upstream request.

    Args:
        settings: By decision.

    Raises:
        ConfigError: A decision names a header that frames the message or belongs to the connection.
    """

    name = "header_mutation"

    def __init__(self, settings: Mapping[str, HeaderMutationSettings]) -> None:
        problems = [
            ConfigProblem(
                file="<configuration>",
                line=None,
                key=f"routing.decisions.{decision}.plugins.header_mutation",
                found=header,
                allowed="headers that do not frame the message or belong to the connection",
                hint=f"Remove {header} from the plugin; the router sets it itself",
            )
            for decision, own in settings.items()
            for header in _names(own)
            if header.lower() in _RESERVED
        ]
        if problems:
            raise ConfigError(problems)
        self._settings = dict(settings)

    @classmethod
    def from_decisions(cls, decisions: Sequence[DecisionSettings]) -> "HeaderMutation":
        """Return the plugin for the decisions that configure it.

        Raises:
            ConfigError: As the class itself.
        """
        own = {decision.name: decision.plugin(HeaderMutationPlugin) for decision in decisions}
        return cls({name: plugin.configuration for name, plugin in own.items() if plugin is not None})

    async def before_upstream(self, turn: Turn) -> None:
        """Change ``turn.upstream_headers``."""
        own = self._settings.get(turn.decision)
        if own is None:
            return
        for name in (*own.remove, *own.delete):
            turn.upstream_headers.pop(name.lower(), None)
        for pair in own.add:
            turn.upstream_headers.setdefault(pair.name.lower(), pair.value)
        for pair in (*own.set, *own.update):
            turn.upstream_headers[pair.name.lower()] = pair.value

    async def after_response(self, turn: Turn, reply: Reply) -> None:
        """Do nothing: only the request is changed."""


def _names(own: HeaderMutationSettings) -> list[str]:
    return [*own.remove, *own.delete, *(pair.name for pair in (*own.add, *own.set, *own.update))]

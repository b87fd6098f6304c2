"""The ``system_prompt`` plugin: a route's own system prompt."""

from collections.abc import Mapping, Sequence

from memrouter.config.routing import DecisionSettings, SystemPromptPlugin, SystemPromptSettings
from memrouter.models.chat import SYSTEM_ROLES, ChatDraft
from memrouter.models.turn import Reply, Turn


class SystemPrompt:
    """Puts a route's system prompt in front of the client's, or in its place.

    Args:
        settings: By decision; a blank prompt and ``enabled: false`` change nothing.
    """

    name = "system_prompt"

    def __init__(self, settings: Mapping[str, SystemPromptSettings]) -> None:
        self._settings = {
            decision: own for decision, own in settings.items() if own.enabled and own.system_prompt.strip()
        }

    @classmethod
    def from_decisions(cls, decisions: Sequence[DecisionSettings]) -> "SystemPrompt":
        """Return the plugin for the decisions that configure it."""
        own = {decision.name: decision.plugin(SystemPromptPlugin) for decision in decisions}
        return cls({name: plugin.configuration for name, plugin in own.items() if plugin is not None})

    async def before_upstream(self, turn: Turn) -> None:
        """Add or replace the system prompt of ``turn.draft``."""
        own = self._settings.get(turn.decision)
        if own is None:
            return
        if own.mode == "replace":
            _replace(turn.draft, own.system_prompt)
        else:
            _insert(turn.draft, own.system_prompt)

    async def after_response(self, turn: Turn, reply: Reply) -> None:
        """Do nothing: a system prompt has no part in the reply."""


def _insert(draft: ChatDraft, prompt: str) -> None:
    """Put the prompt in front of the words of a leading system message, or make one."""
    first = draft.request.messages[0]
    if first.role in SYSTEM_ROLES:
        draft.prepend_text(0, f"{prompt}\n\n" if first.text else prompt)
    else:
        draft.insert_message(0, "system", prompt)


def _replace(draft: ChatDraft, prompt: str) -> None:
    """Put the prompt in the place of the first system message and leave the others out."""
    messages = draft.request.messages
    system = [index for index, message in enumerate(messages) if message.role in SYSTEM_ROLES]
    if not system:
        draft.insert_message(0, "system", prompt)
        return
    draft.replace_message(system[0], messages[system[0]].role, prompt)
    for index in system[1:]:
        draft.remove_message(index)

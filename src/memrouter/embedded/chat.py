"""A chat with memory around any model: the router's own memory plugin, without the router."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from memrouter.errors import InvalidRequest
from memrouter.models.chat import ChatDraft, ChatRequest
from memrouter.models.memory import DEFAULT_PROJECT, Scope
from memrouter.models.turn import Identity, MemoryOutcome, MemoryStatus, Reply, Turn
from memrouter.runtime import Runtime

Message: TypeAlias = Mapping[str, Any]
"""A message as chat completions have it: ``role`` and ``content``, and whatever else the model is to get."""

PATH = "embedded"
"""Stands where a router has the request's path; ``disabled_routes`` may name it."""


class _Body(msgspec.Struct):
    messages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ChatContext:
    """Messages for a model, with what is remembered among them.

    Attributes:
        messages: What was given, and one block of memories where there are any.
        status: How memory took part, as ``x-memory-status`` has it.
        reason: A short word for why.
        memory_ids: The memories that were put in.
    """

    messages: list[dict[str, Any]]
    status: MemoryStatus
    reason: str
    memory_ids: tuple[str, ...]


async def chat_context(
    runtime: Runtime, scope: Scope, messages: Iterable[Message], *, conversation: str | None
) -> ChatContext:
    """Return messages with the memories that bear on the last question; for the arguments see ``UserMemory``."""
    turn = _turn(scope, list(messages), conversation)
    await runtime.recall.before_upstream(turn)
    outcome = turn.memory or MemoryOutcome(MemoryStatus.DISABLED, "configuration")
    if turn.recalled_ids:
        runtime.accesses.note(scope, turn.recalled_ids)
    body = msgspec.json.decode(turn.draft.render(), type=_Body)
    return ChatContext(body.messages, outcome.status, outcome.reason, turn.recalled_ids)


async def store_turn(
    runtime: Runtime, scope: Scope, user: str | Iterable[Message], assistant: str, *, conversation: str | None
) -> None:
    """Remember a finished turn; for the arguments see ``UserMemory``."""
    if runtime.turn_writer is None:
        return
    messages = [{"role": "user", "content": user}] if isinstance(user, str) else list(user)
    turn = _turn(scope, messages, conversation)
    turn.begun_at = runtime.clock.now_ms()
    await runtime.turn_writer.store(
        await runtime.recall.finished(turn, Reply(assistant, status=200, complete=True), scope)
    )


def _turn(scope: Scope, messages: Sequence[Message], conversation: str | None) -> Turn:
    try:
        body = msgspec.json.encode({"model": PATH, "messages": messages})
    except (TypeError, ValueError, UnicodeEncodeError):
        raise InvalidRequest("messages must be plain data, as JSON has it", param="messages") from None
    request = ChatRequest.parse(body)
    return Turn(
        request=request,
        identity=Identity(scope.user_id, scope.project_id or DEFAULT_PROJECT),
        headers={},
        request_id=PATH,
        path=PATH,
        draft=ChatDraft(request),
        session=conversation or "",
    )

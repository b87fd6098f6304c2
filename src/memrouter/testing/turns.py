"""Requests on their way, for tests of signals and plugins."""

from typing import Any

import msgspec

from memrouter.models.chat import ChatDraft, ChatRequest
from memrouter.models.turn import Identity, Turn


def chat_turn(*messages: object, identity: Identity | None = None, decision: str = "", **fields: Any) -> Turn:
    """Return a turn as it stands before the plugins run.

    Args:
        messages: Each a message object, or the text of a user message; none at all: one user message, ``hello``.
        identity: Who asks; omitted = nobody.
        decision: Name of the matching decision.
        fields: Further fields of the body, such as ``model`` (``auto`` if omitted) or ``tools``.
    """
    wire = [{"role": "user", "content": item} if isinstance(item, str) else item for item in messages or ("hello",)]
    request = ChatRequest.parse(msgspec.json.encode({"model": "auto", "messages": wire, **fields}))
    return Turn(
        request=request,
        identity=identity or Identity(),
        headers={},
        request_id="req-1",
        path="/v1/chat/completions",
        draft=ChatDraft(request),
        decision=decision,
    )

"""How a caller names a conversation, whose own name is a digest that nobody knows by heart."""

from typing import Annotated, Final

from pydantic import Field

from memrouter.api.memory_forms import Name, TypeParams
from memrouter.errors import InvalidRequest
from memrouter.memory.service import MemoryService
from memrouter.memory.turns.conversation import session_conversation
from memrouter.models.memory import MAX_ID_CHARS, Scope

MAX_SESSION_CHARS: Final = 8192

_NAMES: Final = ("conversation_id", "session_id", "conversation_of")


class ConversationParams(TypeParams):
    """Query parameters of the routes for many memories; a conversation is named in one of three ways, or not at all."""

    conversation_id: Name | None = None
    """As its memories show it."""
    session_id: Annotated[str, Field(min_length=1, max_length=MAX_SESSION_CHARS)] | None = None
    """What its requests said in the header ``x-session-id``."""
    conversation_of: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] | None = None
    """The id of a memory that came from it."""


class DeleteParams(ConversationParams):
    """Query parameters of deleting many."""

    receipt: bool = False
    """Whether the answer proves which memories went."""


class ListParams(ConversationParams):
    """Query parameters of the list."""

    limit: int | None = Field(default=None, ge=1)
    """Most memories on the page; 20 unless the server allows fewer."""
    cursor: str | None = Field(default=None, max_length=256)
    """``next_cursor`` of the page before."""
    include_superseded: bool = False
    """Whether memories that were replaced by newer ones are listed too."""
    quarantined: bool = False
    """Whether the quarantined memories are listed instead of the others."""


async def named_conversation(service: MemoryService, scope: Scope, params: ConversationParams) -> str | None:
    """Return the name of the conversation that is meant; None where none is named.

    Raises:
        InvalidRequest: It is named in two ways, or by a memory that came from no conversation.
        NotFound: It is named by a memory that is absent or someone else's.
    """
    given = [name for name in _NAMES if getattr(params, name) is not None]
    if len(given) > 1:
        raise InvalidRequest(f"{given[1]}: goes without {given[0]}; name the conversation in one way", param=given[1])
    if params.session_id is not None:
        return session_conversation(params.session_id, scope=scope)
    if params.conversation_of is None:
        return params.conversation_id
    named = await service.get(scope, params.conversation_of)
    if named.conversation_id is None:
        raise InvalidRequest(
            "conversation_of: this memory came from no single conversation; use its own id", param="conversation_of"
        )
    return named.conversation_id

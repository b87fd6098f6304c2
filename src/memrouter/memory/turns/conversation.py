"""Which conversation a request belongs to, and the turns it holds. Pure."""

import hashlib
import json

import msgspec

from memrouter.memory.injection.blocks import strip_blocks
from memrouter.memory.turns.harness import strip_harness
from memrouter.models.chat import SYSTEM_ROLES, ChatRequest
from memrouter.models.memory import MemoryRecord, Scope

_NAMING_CHARS = 16_384


class PastTurn(msgspec.Struct, frozen=True):
    """A user's words and the answer to them, as the client sent them.

    Attributes:
        user: The user's messages up to the answer, joined by line ends.
        assistant: The last words of the assistant before the user's next message; empty if there are none.
    """

    user: str
    assistant: str


def conversation_id(request: ChatRequest, *, session: str | None, scope: Scope) -> str:
    """Return the name of the conversation: 32 hex digits, the same for all of its requests.

    Args:
        request: Any request of the conversation. The first 16,384 characters of its first user message name it where no
            session is given, so two conversations of one user that begin with the same words are taken for one.
        session: The session that the client names; None or empty if it names none.
        scope: Whose conversation; two users never share one.
    """
    if session:
        return session_conversation(session, scope=scope)
    return _digest(scope, "first message", _first_words(request))


def session_conversation(session: str, *, scope: Scope) -> str:
    """Return the name of the conversation whose requests name this session; see ``conversation_id``."""
    return _digest(scope, "session", session)


def turns(request: ChatRequest) -> list[PastTurn]:
    """Return the turns of a request, oldest first; the last one is the turn now being answered.

    User messages with nothing but system messages between them are one turn; what a harness wrote into them is left
    out. What the assistant said before any user message belongs to none.
    """
    asked: list[list[str]] = []
    said: list[str] = []
    answered = True
    for message in request.messages:
        if message.role == "user":
            if answered:
                asked.append([])
                said.append("")
            answered = False
            asked[-1].append(strip_harness(message.text))
        elif asked and message.role not in SYSTEM_ROLES:
            answered = True
            if message.role == "assistant" and message.text:
                said[-1] = message.text
    return [PastTurn("\n".join(filter(None, words)), answer) for words, answer in zip(asked, said, strict=True)]


def _digest(scope: Scope, *origin: str) -> str:
    name = json.dumps([scope.user_id, scope.project_id, *origin])
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _first_words(request: ChatRequest) -> str:
    said = (strip_harness(message.text) for message in request.messages if message.role == "user")
    texts = (strip_blocks(text[:_NAMING_CHARS]) for text in said)
    return next((text for text in texts if text), "")


def in_history(record: MemoryRecord, *, conversation: str, turn_index: int) -> bool:
    """Return whether a memory is of a turn that a request's own messages hold already.

    Args:
        record: A turn, or a window whose last turn is ``record.turn_index``.
        conversation: Name of the conversation that the request belongs to.
        turn_index: Number of the turn that the request asks to be answered, from 0.
    """
    if record.conversation_id != conversation or record.turn_index is None:
        return False
    return record.turn_index < turn_index

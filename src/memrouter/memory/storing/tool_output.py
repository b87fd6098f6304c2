"""What tools said in a finished turn, for routes that want it remembered. Pure."""

from typing import Final

from memrouter.memory.injection.blocks import strip_blocks
from memrouter.memory.storing.drafts import MemoryDraft, storable_text
from memrouter.memory.turns.conversation import turns
from memrouter.models.chat import ChatRequest
from memrouter.models.memory import MemoryType, Source, Trust, cut_to_bytes
from memrouter.models.turn import Reply

MAX_RESULTS: Final = 8
"""Most tool results of one turn that are remembered; the latest ones."""
IMPORTANCE: Final = 0.3

_TOOL_ROLES: Final = frozenset({"tool", "function"})
_LONGEST_TEXT: Final = 262_144


def tool_output(request: ChatRequest, reply: Reply, *, conversation_id: str) -> list[MemoryDraft]:
    """Return the tool results of the turn that was just answered, with trust ``tool``.

    Empty for an aborted or failed reply. Of each result the first 262,144 characters count.

    Args:
        request: What the client sent; tool results behind its last user message belong to the turn.
        reply: What the model said.
        conversation_id: Name of the conversation.
    """
    asked, index = request.last_user_index, len(turns(request)) - 1
    if asked is None or index < 0 or not reply.complete or reply.status != 200:
        return []
    said = [message.text for message in request.messages[asked + 1 :] if message.role in _TOOL_ROLES]
    texts = (strip_blocks(storable_text(text[:_LONGEST_TEXT])).strip() for text in said[-MAX_RESULTS:])
    return [_draft(text, conversation_id, index) for text in texts if text]


def _draft(text: str, conversation_id: str, index: int) -> MemoryDraft:
    content = cut_to_bytes(text)
    return MemoryDraft(
        content=content,
        type=MemoryType.EPISODIC,
        source=Source.CONVERSATION,
        trust=Trust.TOOL,
        importance=IMPORTANCE,
        conversation_id=conversation_id,
        turn_index=index,
        role="tool",
        truncated=content != text,
    )

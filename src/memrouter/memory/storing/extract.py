"""From a finished turn to the memories worth keeping. Pure."""

import re
from collections.abc import Sequence

from memrouter.memory.extraction.relative_dates import day_of, with_dates
from memrouter.memory.injection.blocks import strip_blocks
from memrouter.memory.storing.drafts import MemoryDraft, storable_text
from memrouter.memory.turns.conversation import PastTurn, turns
from memrouter.memory.turns.gate import low_information
from memrouter.models.chat import ChatRequest
from memrouter.models.memory import MAX_CONTENT_BYTES, MemoryType, Source, Trust, cut_to_bytes
from memrouter.models.turn import Reply

WINDOW_TURNS = 5
"""Turns in one window."""
WINDOW_EVERY = 3
"""A window is kept at every third turn of a conversation."""
WINDOW_BREAK = "\n---\n"
"""Stands between the turns of a window."""

_LONGEST_TEXT = 262_144
_THINK_TAG = re.compile(r"<(?P<closing>/?)think(?:ing)?\s*>", re.IGNORECASE)


def extract(request: ChatRequest, reply: Reply, *, conversation_id: str, now: int) -> list[MemoryDraft]:
    """Return what to remember of a finished turn: the turn, and now and then a window over the last ones.

    Relative dates of the turn are followed by the dates that they mean; those of earlier turns in a window are not,
    since their day is not known.

    Empty for an aborted or failed reply, one without words, and turns of low information. Recalled memories, thinking
    and control characters are taken out first. Of each message the first 262,144 characters count.

    Args:
        request: What the client sent; its messages are the history from which windows are built.
        reply: What the model said.
        conversation_id: Name of the conversation.
        now: Milliseconds since the epoch at which the user asked.
    """
    history = turns(request)
    if not history or not reply.complete or reply.status != 200:
        return []
    index = len(history) - 1
    recent = history[-WINDOW_TURNS:-1]
    last = _cleaned(PastTurn(history[-1].user, reply.text))
    if not last.assistant:
        return []
    informative = _informative(last)
    dated = _dated(last, now)
    drafts = [_turn_draft(dated, conversation_id, index)] if informative else []
    if (index + 1) % WINDOW_EVERY == 0:
        window = [*filter(_informative, map(_cleaned, recent)), *([dated] if informative else ())]
        if len(window) > 1:
            drafts.append(_window_draft(window, conversation_id, index))
    return drafts


def strip_thinking(text: str) -> str:
    """Return ``text`` without the model's thinking.

    That is ``<think>`` or ``<thinking>`` up to the first closing tag, or to the end if there is none. Words before a
    closing tag without an opening are thinking too: some chat templates put the opening into the prompt.
    """
    pieces: list[str] = []
    position = 0
    thinking = False
    for tag in _THINK_TAG.finditer(text):
        if not tag["closing"] and not thinking:
            pieces.append(text[position : tag.start()])
        thinking = not tag["closing"]
        position = tag.end()
    if not thinking:
        pieces.append(text[position:])
    return "".join(pieces)


def _cleaned(turn: PastTurn) -> PastTurn:
    user = storable_text(turn.user[:_LONGEST_TEXT])
    assistant = storable_text(turn.assistant[:_LONGEST_TEXT])
    return PastTurn(strip_blocks(user).strip(), strip_blocks(strip_thinking(assistant)).strip())


def _dated(turn: PastTurn, now: int) -> PastTurn:
    day = day_of(now)
    return PastTurn(with_dates(turn.user, day=day), with_dates(turn.assistant, day=day))


def _informative(turn: PastTurn) -> bool:
    return bool(turn.user and turn.assistant) and low_information(turn.user, turn.assistant) is None


def _text(turn: PastTurn) -> str:
    return f"Q: {turn.user}\nA: {turn.assistant}"


def _turn_draft(turn: PastTurn, conversation_id: str, index: int) -> MemoryDraft:
    return _draft([turn], Source.CONVERSATION, 0.5, conversation_id, index)


def _window_draft(window: Sequence[PastTurn], conversation_id: str, index: int) -> MemoryDraft:
    return _draft(window, Source.SESSION_WINDOW, 0.7, conversation_id, index)


def _draft(
    window: Sequence[PastTurn], source: Source, importance: float, conversation_id: str, index: int
) -> MemoryDraft:
    text = WINDOW_BREAK.join(map(_text, window))
    content = cut_to_bytes(text, MAX_CONTENT_BYTES)
    return MemoryDraft(
        content=content,
        type=MemoryType.EPISODIC,
        source=source,
        trust=Trust.DIRECT_USER,
        importance=importance,
        conversation_id=conversation_id,
        turn_index=index,
        role="turn",
        truncated=content != text,
        own_words=WINDOW_BREAK.join(f"Q: {turn.user}" for turn in window),
    )

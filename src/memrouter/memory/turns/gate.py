"""Whether a message is worth a search and a finished turn worth storing. Pure."""

import re
import unicodedata
from typing import Final

from memrouter.memory.screening.junk import is_boilerplate, is_document, is_recalled, is_system_prompt, is_tool_output
from memrouter.memory.screening.refusals import is_refusal
from memrouter.memory.turns.small_talk import is_small_talk
from memrouter.models.chat import SYSTEM_ROLES, ChatRequest

MIN_TURN_CHARS: Final = 30
"""Turns whose question and answer have fewer characters together are not stored."""

_SEARCHED_CHARS = 65_536
_WIDE_CHAR_WORTH = 3

_OF_THE_USER = (
    ("recalled_memories", is_recalled),
    ("system_prompt", is_system_prompt),
    ("tool_output", is_tool_output),
    ("document", is_document),
)
_WORD = re.compile(r"[^\W_]")


def worth_searching(request: ChatRequest) -> str | None:
    """Return why memory should ignore this request, or None if it is worth a search.

    Returns:
        ``not_user_turn`` where the last message, system messages aside, is not the user's (such as a tool result);
        ``no_text`` where the user's last message has no words at all; ``no_words`` where its first 65,536 characters
        are only punctuation or emoji; ``small_talk`` where it is all greetings, thanks, farewells or
        acknowledgements; else None.
    """
    last = next((m for m in reversed(request.messages) if m.role not in SYSTEM_ROLES), None)
    if last is None or last.role != "user":
        return "not_user_turn"
    return text_worth_searching(last.text)


def text_worth_searching(text: str) -> str | None:
    """Return why memory should ignore what a user says, or None if it is worth a search; see ``worth_searching``."""
    if not text.strip():
        return "no_text"
    if _WORD.search(text, 0, _SEARCHED_CHARS) is None:
        return "no_words"
    return "small_talk" if is_small_talk(text, acknowledgements=True) else None


def low_information(user_text: str, assistant_text: str) -> str | None:
    """Return why a finished turn should not be stored, or None if it should.

    Returns:
        ``too_short`` below 30 characters in all (a wide letter, such as a Chinese one, counts three); ``no_words``
        where the user wrote only punctuation or emoji; ``small_talk`` where the user only greets, thanks or says
        goodbye; ``refusal`` where the answer is a short one that begins by declining; ``recalled_memories`` and
        ``system_prompt`` where the user's message holds what another memory layer put there, or sets up an assistant;
        ``boilerplate`` where either is an error page, a cookie banner, an automatic reply or the like; ``tool_output``
        where the user's message is nothing but what programs write, code included; ``document`` where it is long and
        nobody in it speaks of himself; else None.
    """
    user, assistant = user_text.strip(), assistant_text.strip()
    if _too_short(user, assistant):
        return "too_short"
    if _WORD.search(user, 0, _SEARCHED_CHARS) is None:
        return "no_words"
    if is_small_talk(user, acknowledgements=False):
        return "small_talk"
    if is_refusal(assistant):
        return "refusal"
    if is_boilerplate(user) or is_boilerplate(assistant):
        return "boilerplate"
    return next((reason for reason, holds in _OF_THE_USER if holds(user)), None)


def _too_short(user: str, assistant: str) -> bool:
    if len(user) + len(assistant) >= MIN_TURN_CHARS:
        return False
    return sum(_worth(char) for char in user + assistant) < MIN_TURN_CHARS


def _worth(char: str) -> int:
    return _WIDE_CHAR_WORTH if char.isalpha() and unicodedata.east_asian_width(char) == "W" else 1

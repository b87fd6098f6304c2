"""Whether a message is worth a search and a finished turn worth storing. Pure."""

import re
import unicodedata
from typing import Final

from memrouter.memory.turns.small_talk import is_small_talk
from memrouter.models.chat import SYSTEM_ROLES, ChatRequest

MIN_TURN_CHARS: Final = 30
"""Turns whose question and answer have fewer characters together are not stored."""

_SEARCHED_CHARS = 65_536
_WIDE_CHAR_WORTH = 3
_LONGEST_REFUSAL = 240

_WORD = re.compile(r"[^\W_]")
_APOLOGY = re.compile(
    r"(?:i'?m |i am |we'?re |we are )?(?:so |very |really |truly )?sorry\W{0,3}(?:but\W{1,2})?"
    r"|(?:i|we) apologi[sz]e\W{0,3}(?:but\W{1,2})?"
)
_CANNOT = re.compile(r"(?:i|we) (?:can'?t|cannot|can not|won'?t|will not)\b")
_REFUSAL = re.compile(
    r"as an ai\b"
    r"|(?:i'?m|i am|we'?re|we are) (?:unable|not able)\b"
    r"|(?:i|we) (?:can'?t|cannot|can not|won'?t|will not) (?:\w+ )?"
    r"(?:help|assist|answer|provide|do|comply|fulfill?|discuss|engage|support|share|continue|create|generate)\b"
)


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
    if not last.text.strip():
        return "no_text"
    if _WORD.search(last.text, 0, _SEARCHED_CHARS) is None:
        return "no_words"
    return "small_talk" if is_small_talk(last.text, acknowledgements=True) else None


def low_information(user_text: str, assistant_text: str) -> str | None:
    """Return why a finished turn should not be stored, or None if it should.

    Returns:
        ``too_short`` below 30 characters in all (a wide letter, such as a Chinese one, counts three); ``small_talk``
        where the user only greets, thanks or says goodbye; ``refusal`` where the answer is a short one that begins
        by declining; else None.
    """
    user, assistant = user_text.strip(), assistant_text.strip()
    if _too_short(user, assistant):
        return "too_short"
    if is_small_talk(user, acknowledgements=False):
        return "small_talk"
    return "refusal" if _is_bare_refusal(assistant) else None


def _too_short(user: str, assistant: str) -> bool:
    if len(user) + len(assistant) >= MIN_TURN_CHARS:
        return False
    return sum(_worth(char) for char in user + assistant) < MIN_TURN_CHARS


def _worth(char: str) -> int:
    return _WIDE_CHAR_WORTH if char.isalpha() and unicodedata.east_asian_width(char) == "W" else 1


def _is_bare_refusal(text: str) -> bool:
    if len(text) > _LONGEST_REFUSAL:
        return False
    plain = " ".join(text.replace("\u2019", "'").casefold().split())
    apology = _APOLOGY.match(plain)
    if apology is not None and _CANNOT.match(plain, apology.end()):
        return True
    return _REFUSAL.match(plain, apology.end() if apology else 0) is not None

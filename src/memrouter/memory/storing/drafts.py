"""What callers hand in to be remembered or changed, and the checks that it must pass."""

import re
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MAX_CONTENT_BYTES, MemoryType, Source, Trust, check_identity

MAX_TIME_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, UTC."""

_MAX_TURN_INDEX = 2**31 - 1
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class MemoryDraft:
    """A text to be remembered; owner, id and vector are added by the memory service.

    Attributes:
        content: 1 to 16,384 bytes of UTF-8.
        type: Kind of knowledge.
        source: How it came to be written.
        trust: Lowest trust over its lineage.
        importance: 0 to 1.
        conversation_id: The conversation it came from, if any.
        turn_index: Number of the turn in that conversation, from 0.
        role: Whose words it holds.
        expires_at: When it stops being visible, in milliseconds since the epoch; None for never.
        created_at: When it was first written, in milliseconds since the epoch; None for now.
        truncated: Whether the content was cut to fit.
        links: Ids of the memories that it was made from.
        own_words: The user's part of a turn, which is kept alone where the whole would be quarantined for the model's
            answer; None where nothing stands apart.
    """

    content: str
    type: MemoryType = MemoryType.SEMANTIC
    source: Source = Source.API
    trust: Trust = Trust.DIRECT_USER
    importance: float = 0.5
    conversation_id: str | None = None
    turn_index: int | None = None
    role: str | None = None
    expires_at: int | None = None
    created_at: int | None = None
    truncated: bool = False
    links: tuple[str, ...] = ()
    own_words: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryEdit:
    """A change to one memory; None leaves a field as it is, and UNSET the expiry.

    Attributes:
        content: 1 to 16,384 bytes of UTF-8.
        type: Kind of knowledge.
        importance: 0 to 1.
        expires_at: When it stops being visible, in milliseconds since the epoch; None for never.
        pinned: Whether it must not be pruned, evicted or consolidated.
    """

    content: str | None = None
    type: MemoryType | None = None
    importance: float | None = None
    expires_at: int | UnsetType | None = UNSET
    pinned: bool | None = None


def storable_text(text: str) -> str:
    r"""Return ``text`` without characters that no memory may hold, line ends as ``\n``, ends trimmed.

    Removed are control characters other than line end and tab, and lone surrogates.
    """
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def check_content(text: str) -> str:
    r"""Return ``text`` as it is stored: ends trimmed, ``\r\n`` as ``\n``.

    Raises:
        InvalidRequest: Empty, over 16,384 bytes, or holding a control character other than line end and tab.
    """
    content = text.replace("\r\n", "\n").strip()
    if not content:
        raise InvalidRequest("content is empty; it must have at least one visible character", param="content")
    size = len(content.encode(errors="surrogatepass"))
    if size > MAX_CONTENT_BYTES:
        raise InvalidRequest(
            f"content has {size} bytes of UTF-8; at most {MAX_CONTENT_BYTES} are allowed", param="content"
        )
    bad = _UNSTORABLE.search(content)
    if bad is not None:
        raise InvalidRequest(
            f"content holds the character U+{ord(bad[0]):04X} at position {bad.start()}; "
            "control characters other than line end and tab, and lone surrogates, cannot be stored",
            param="content",
        )
    return content


def check_draft(draft: MemoryDraft, *, now: int) -> None:
    """Check every field of a draft but its content.

    Args:
        draft: What is to be remembered.
        now: Milliseconds since the epoch.

    Raises:
        InvalidRequest: A field is out of range; ``param`` names it.
    """
    _check_importance(draft.importance)
    _check_expiry(draft.expires_at, now=now)
    _check_range(draft.created_at, "created_at", MAX_TIME_MS)
    _check_range(draft.turn_index, "turn_index", _MAX_TURN_INDEX)
    if draft.conversation_id is not None:
        check_identity(draft.conversation_id, param="conversation_id")
    if draft.role is not None:
        check_identity(draft.role, param="role")


def check_edit(edit: MemoryEdit, *, now: int) -> None:
    """Check every field of an edit but its content.

    Raises:
        InvalidRequest: Nothing is to be changed, or a field is out of range; ``param`` names it.
    """
    if edit == MemoryEdit():
        raise InvalidRequest("nothing to change; name content, type, importance, expires_at or pinned", param="body")
    if edit.importance is not None:
        _check_importance(edit.importance)
    if edit.expires_at is not UNSET:
        _check_expiry(edit.expires_at, now=now)


def _check_importance(value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise InvalidRequest("importance must be a number from 0 to 1", param="importance")


def _check_expiry(value: int | None, *, now: int) -> None:
    _check_range(value, "expires_at", MAX_TIME_MS)
    if value is not None and value <= now:
        raise InvalidRequest("expires_at lies in the past; name a later time, or delete the memory", param="expires_at")


def _check_range(value: int | None, param: str, largest: int) -> None:
    if value is not None and not 0 <= value <= largest:
        raise InvalidRequest(f"{param} must be from 0 to {largest}", param=param)

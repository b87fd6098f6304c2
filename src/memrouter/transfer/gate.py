"""What every memory passes on its way in. One function, so that other checks can be put in front of or behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from memrouter.errors import InvalidRequest
from memrouter.memory.storing.drafts import check_content, storable_text
from memrouter.models.memory import MemoryRecord, cut_to_bytes
from memrouter.transfer.format import NO_VECTOR


@dataclass(frozen=True, slots=True)
class Refused:
    """A memory must not come in.

    Attributes:
        reason: Why, without any memory text or user id.
    """

    reason: str


Gate: TypeAlias = Callable[[MemoryRecord], MemoryRecord | Refused]
"""Gives back the memory as it may come in, or says why it must not.

A memory whose content it changes has ``NO_VECTOR``: its vector is made anew. Called in a thread; pure.
"""


def storable(record: MemoryRecord) -> MemoryRecord | Refused:
    """Let a memory in whose content can be kept, just as it is.

    A content that this version would not store, as other routers may have, is made storable as a chat turn is: cut to
    16,384 bytes, without control characters. One that is empty then is refused.
    """
    try:
        check_content(record.content)
    except InvalidRequest:
        content = cut_to_bytes(storable_text(record.content)).strip()
        if not content:
            return Refused("its content has no visible character")
        return replace(record, content=content, embedding=NO_VECTOR)
    return record

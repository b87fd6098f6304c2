"""What a remembered turn says, and who said what of it. Pure."""

from dataclasses import dataclass
from typing import Final

from memrouter.models.memory import MemoryRecord, Source

_QUESTION: Final = "Q: "
_ANSWER: Final = "\nA: "


@dataclass(frozen=True, slots=True)
class Spoken:
    """The words of a turn.

    Attributes:
        user: The user's.
        assistant: The assistant's.
    """

    user: str
    assistant: str


def is_source(record: MemoryRecord) -> bool:
    """Return whether facts may be drawn from a memory: a turn of a conversation that is not kept apart."""
    return record.source is Source.CONVERSATION and record.role == "turn" and record.quarantine is None


def spoken(record: MemoryRecord) -> Spoken:
    """Return who said what in a turn.

    Everything behind the first line that looks like an answer is the assistant's: what a user writes in this form may
    be taken for the assistant's words, never the other way round.
    """
    user, _, assistant = record.content.removeprefix(_QUESTION).partition(_ANSWER)
    return Spoken(user, assistant)

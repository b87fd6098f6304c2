"""Session windows that only repeat what is remembered turn by turn. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memrouter.memory.extraction.relative_dates import without_dates
from memrouter.memory.storing.extract import WINDOW_BREAK
from memrouter.models.history import Event
from memrouter.models.memory import MemoryRecord, Source, content_digest


@dataclass(frozen=True, slots=True)
class Repetition:
    """A window, and the memories of its turns, the last of which stands for it."""

    window: MemoryRecord
    turns: tuple[MemoryRecord, ...]

    @property
    def last_turn(self) -> MemoryRecord:
        """Return the memory that stands for the window."""
        return self.turns[-1]


def repetitions(records: Sequence[MemoryRecord], *, now: int) -> Iterator[Repetition]:
    """Yield the windows of which every turn is a memory of its own, that retrieval finds, from the same conversation.

    A window is kept for what its turns mean together; once they are remembered one by one, retrieval lends each the
    weight of its neighbours, and the window only takes the place of something else. Pinned windows stay, and those
    that somebody has brought back. A turn may have absolute dates beside relative ones that the window does not have.

    Args:
        records: Memories of one user.
        now: Milliseconds since the epoch.
    """
    turns = {
        _place(record, text): record
        for record in records
        if record.visible(now) and record.source is Source.CONVERSATION
        for text in (without_dates(record.content), record.content)
    }
    for record in records:
        if record.source is Source.SESSION_WINDOW and record.visible(now) and not record.pinned and not _back(record):
            parts = [turns.get(_place(record, part)) for part in record.content.split(WINDOW_BREAK)]
            held = [part for part in parts if part is not None]
            if len(held) == len(parts):
                yield Repetition(record, tuple(held))


def _place(record: MemoryRecord, text: str) -> tuple[str, str | None, str]:
    return record.project_id, record.conversation_id, content_digest(text)


def _back(record: MemoryRecord) -> bool:
    return any(entry.event is Event.RESTORED for entry in record.history)

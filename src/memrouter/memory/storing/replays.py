"""Which conversations may be replayed: those of which this process has not seen every turn before."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from memrouter.models.memory import MemoryRecord, Source, owner_key

MAX_CONVERSATIONS: Final = 10_000

_Key = tuple[str, str, str]
_TURNS: Final = frozenset({Source.CONVERSATION, Source.SESSION_WINDOW})


class Replays:
    """Remembers the last turn of the latest 10,000 conversations."""

    def __init__(self) -> None:
        self._last: OrderedDict[_Key, int] = OrderedDict()

    def suspected(self, records: Iterable[MemoryRecord]) -> set[str]:
        """Return the conversations of turns that may have been stored before, by this router or another one."""
        return {key[2] for key, turn in _turns(records) if turn <= self._last.get(key, turn)}

    def note(self, records: Iterable[MemoryRecord]) -> None:
        """Note turns that are stored."""
        for key, turn in _turns(records):
            self._last[key] = max(turn, self._last.get(key, turn))
            self._last.move_to_end(key)
        while len(self._last) > MAX_CONVERSATIONS:
            self._last.popitem(last=False)


def _turns(records: Iterable[MemoryRecord]) -> Iterable[tuple[_Key, int]]:
    for record in records:
        if record.source in _TURNS and record.conversation_id is not None and record.turn_index is not None:
            yield (owner_key(record.user_id), record.project_id, record.conversation_id), record.turn_index

"""Session windows that only repeat what is remembered turn by turn."""

from typing import Any

from msgspec.structs import replace

from memrouter.memory.storing.extract import extract
from memrouter.memory.upkeep.windows import Repetition, repetitions
from memrouter.models.history import Actor, Event, HistoryEntry
from memrouter.models.memory import MemoryRecord, Source
from memrouter.models.turn import Reply
from memrouter.stores.base import Capabilities
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.turns import chat_turn

LATER = NOW + 1000
DAY_MS = 86_400_000


def chat(turns: int) -> list[MemoryRecord]:
    """Return what the router remembers of a chat."""
    made = RecordFactory(Capabilities("test", 4, "test", exact=True))
    messages: list[object] = []
    records = []
    for number in range(turns):
        messages.append(f"I read of planet {number} today, tell me more.")
        reply = Reply(text=f"Planet {number} is rather far away.", status=200, complete=True)
        for draft in extract(chat_turn(*messages).request, reply, conversation_id="c1", now=number * DAY_MS):
            place = made.make(draft.content, conversation_id="c1", turn_index=draft.turn_index)
            records.append(replace(place, source=draft.source))
        messages.append({"role": "assistant", "content": reply.text})
    return records


def found(records: list[MemoryRecord]) -> list[Repetition]:
    return list(repetitions(records, now=LATER))


def test_windows_of_a_chat_are_stood_for_by_their_last_turns() -> None:
    records = chat(6)
    windows = [record for record in records if record.source is Source.SESSION_WINDOW]
    assert len(windows) == 2
    assert [(each.window, each.last_turn.turn_index) for each in found(records)] == [(windows[0], 2), (windows[1], 5)]


def test_a_window_that_says_more_than_the_turns_that_are_kept_stays() -> None:
    for missing in range(3):
        assert not found([record for record in chat(3) if record.turn_index != missing or len(record.content) > 100])


def test_a_window_stays_where_its_turns_are_hidden_or_from_another_chat_or_project() -> None:
    *turns, window = chat(3)
    assert found([*turns, window])
    hidden: list[dict[str, Any]] = [
        {"quarantine": "x"},
        {"superseded_by": "x"},
        {"expires_at": 1},
        {"conversation_id": "c2"},
    ]
    for changes in hidden:
        assert not found([replace(turns[0], **changes), *turns[1:], window])
    assert not found([*turns, replace(window, project_id="other")])


def test_a_window_stays_where_somebody_wants_it() -> None:
    *turns, window = chat(3)
    entry = HistoryEntry(NOW, Event.RESTORED, Actor.OWNER, None, turns[-1].id)
    assert not found([*turns, replace(window, pinned=True)])
    assert not found([*turns, replace(window, history=(entry,))])


def test_a_window_that_names_another_date_than_the_turn_stays() -> None:
    *turns, window = chat(3)
    assert "(1970-01-03)" in window.content
    other_date = replace(window, content=window.content.replace("(1970-01-03)", "(1980-01-03)"))
    assert not found([*turns, other_date])

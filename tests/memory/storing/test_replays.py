from memrouter.memory.storing.replays import MAX_CONVERSATIONS, Replays
from memrouter.models.memory import MemoryRecord, Source
from memrouter.stores.base import Capabilities
from memrouter.testing.records import RecordFactory

MAKE = RecordFactory(Capabilities("test", 4, "test-model", exact=True)).make


def said(index: int | None, *, conversation: str | None = "c1", source: Source = Source.CONVERSATION) -> MemoryRecord:
    return MAKE(conversation_id=conversation, turn_index=index, source=source)


def test_a_conversation_that_is_not_known_may_be_replayed_and_one_that_goes_on_is_not() -> None:
    replays = Replays()
    assert replays.suspected([said(3)]) == {"c1"}
    replays.note([said(3)])
    assert replays.suspected([said(4)]) == set()
    assert replays.suspected([said(3)]) == {"c1"}
    replays.note([said(1)])
    assert replays.suspected([said(2)]) == {"c1"}


def test_what_is_no_turn_is_no_replay() -> None:
    others = [said(None), said(1, conversation=None), said(1, source=Source.API), said(1, source=Source.EXTRACTION)]
    assert Replays().suspected(others) == set()


def test_another_users_conversation_of_the_same_name_is_another_one() -> None:
    replays = Replays()
    replays.note([said(5)])
    assert replays.suspected([MAKE(user_id="bob", conversation_id="c1", turn_index=9)]) == {"c1"}


def test_many_conversations_take_bounded_memory() -> None:
    replays = Replays()
    replays.note([said(1, conversation=f"c{number}") for number in range(MAX_CONVERSATIONS + 10)])
    assert len(replays._last) == MAX_CONVERSATIONS
    assert replays.suspected([said(2, conversation="c0")]) == {"c0"}

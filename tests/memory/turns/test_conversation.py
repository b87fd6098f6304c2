import pytest

from memrouter.memory.turns.conversation import PastTurn, conversation_id, in_history, session_conversation, turns
from memrouter.models.chat import ChatRequest
from memrouter.models.memory import Scope
from memrouter.stores.base import Capabilities
from memrouter.testing.records import RecordFactory
from memrouter.testing.turns import chat_turn

ANNA = Scope("anna")
BLOCK = "<memrouter-memories>\n- [2026-01-01, semantic] old\n</memrouter-memories>"


def asks(*messages: object) -> ChatRequest:
    return chat_turn(*messages).request


def says(text: str | None) -> dict[str, object]:
    return {"role": "assistant", "content": text}


def name(request: ChatRequest, *, session: str | None = None, scope: Scope = ANNA) -> str:
    return conversation_id(request, session=session, scope=scope)


def test_all_requests_of_a_conversation_have_one_name() -> None:
    first = asks("My cat is called Luna.")
    later = asks({"role": "system", "content": "Be brief."}, "My cat is called Luna.", says("Nice."), "And my dog Rex.")
    assert name(first) == name(later)
    assert len(name(first)) == 32


def test_conversations_that_begin_differently_have_different_names() -> None:
    assert name(asks("My cat is called Luna.")) != name(asks("My cat is called Rex."))


def test_a_session_names_the_conversation_whatever_was_said() -> None:
    assert name(asks("one"), session="s1") == name(asks("two"), session="s1")
    assert name(asks("one"), session="s1") != name(asks("one"), session="s2")
    assert name(asks("one"), session="") == name(asks("one"))


def test_a_session_names_its_conversation_without_a_request() -> None:
    assert session_conversation("s1", scope=ANNA) == name(asks("one"), session="s1")


def test_a_session_called_like_a_first_message_is_another_conversation() -> None:
    assert name(asks("one"), session="one") != name(asks("one"))


def test_users_and_projects_share_no_conversation() -> None:
    scopes = [ANNA, Scope("Anna"), Scope("anna", "work"), Scope("anna", None), Scope("ann", "adefault")]
    assert len({name(asks("one"), session="s", scope=scope) for scope in scopes}) == len(scopes)


def test_a_recalled_block_in_front_does_not_rename_the_conversation() -> None:
    assert name(asks(BLOCK, "My cat is called Luna.")) == name(asks("My cat is called Luna."))


def test_a_request_without_user_words_has_a_name_too() -> None:
    assert name(asks(says("Hello."))) == name(asks({"role": "user", "content": None}))


def test_turns_pair_questions_with_answers_and_end_with_the_open_one() -> None:
    request = asks(says("Welcome!"), "one", says("1"), {"role": "system", "content": "x"}, "two", says("2"), "three")
    assert turns(request) == [PastTurn("one", "1"), PastTurn("two", "2"), PastTurn("three", "")]


def test_user_messages_in_a_row_are_one_turn() -> None:
    nothing = {"role": "user", "content": None}
    system = {"role": "system", "content": "Be brief."}
    assert turns(asks("one", nothing, system, "two")) == [PastTurn("one\ntwo", "")]


def test_a_tool_loop_is_one_turn_that_keeps_the_last_words() -> None:
    call = {"role": "assistant", "content": "Let me look.", "tool_calls": [{"id": "c"}]}
    tool = {"role": "tool", "tool_call_id": "c", "content": "21 degrees"}
    assert turns(asks("Weather?", call, tool)) == [PastTurn("Weather?", "Let me look.")]
    done = turns(asks("Weather?", call, tool, says("21 degrees."), "Thanks"))
    assert done == [PastTurn("Weather?", "21 degrees."), PastTurn("Thanks", "")]


def test_a_question_behind_an_unanswered_tool_call_is_a_turn_of_its_own() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    tool = {"role": "tool", "tool_call_id": "c", "content": "21 degrees"}
    assert turns(asks("Weather?", call, tool, "And tomorrow?")) == [
        PastTurn("Weather?", ""),
        PastTurn("And tomorrow?", ""),
    ]


def test_a_request_without_a_user_has_no_turns() -> None:
    assert turns(asks(says("Hello."))) == []


@pytest.mark.parametrize(
    ("conversation", "stored_index", "asked_index", "held"),
    [
        ("same", 0, 1, True),
        ("same", 1, 1, False),
        ("same", 2, 1, False),
        ("same", None, 1, False),
        ("other", 0, 1, False),
    ],
)
def test_a_memory_is_in_the_history_if_its_turn_came_earlier_in_the_same_conversation(
    conversation: str, stored_index: int | None, asked_index: int, held: bool
) -> None:
    records = RecordFactory(Capabilities(backend="none", dimension=8, embedding_model="hash-8", exact=True))
    record = records.make("x", conversation_id=conversation, turn_index=stored_index)
    assert in_history(record, conversation="same", turn_index=asked_index) is held

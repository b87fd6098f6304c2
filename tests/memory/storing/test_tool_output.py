from memrouter.memory.injection.blocks import MARKER
from memrouter.memory.storing.tool_output import MAX_RESULTS, tool_output
from memrouter.models.memory import MAX_CONTENT_BYTES, Trust
from memrouter.models.turn import Reply
from memrouter.testing.turns import chat_turn

REPLY = Reply(text="It is sunny.", status=200, complete=True)
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}


def result(text: str) -> dict[str, str]:
    return {"role": "tool", "content": text}


def outputs(*messages: object, reply: Reply = REPLY) -> list[str]:
    drafts = tool_output(chat_turn(*messages).request, reply, conversation_id="c1")
    assert all((draft.trust, draft.role, draft.conversation_id) == (Trust.TOOL, "tool", "c1") for draft in drafts)
    return [draft.content for draft in drafts]


def test_the_results_of_the_turn_that_was_answered_are_taken() -> None:
    earlier = ("Where am I?", CALL, result("Porto"), {"role": "assistant", "content": "In Porto."})
    assert outputs(*earlier, "And the weather?", CALL, result("sunny"), result(" 21 degrees \x00")) == [
        "sunny",
        "21 degrees",
    ]
    assert outputs(*earlier, "Thanks a lot.") == []


def test_recalled_memories_and_empty_results_are_left_out() -> None:
    assert outputs("Hi?", CALL, result(f"<{MARKER}>secret</{MARKER}>"), result("")) == []


def test_an_aborted_or_failed_reply_leaves_nothing() -> None:
    for reply in (Reply("x", 200, complete=False), Reply("x", 500, complete=True)):
        assert outputs("Hi?", CALL, result("sunny"), reply=reply) == []
    assert outputs({"role": "tool", "content": "sunny"}) == []


def test_many_and_long_results_are_bounded() -> None:
    found = outputs("Hi?", CALL, *(result(f"result {number}") for number in range(20)))
    assert found == [f"result {number}" for number in range(20 - MAX_RESULTS, 20)]
    (long,) = tool_output(chat_turn("Hi?", CALL, result("é" * 20_000)).request, REPLY, conversation_id="c1")
    assert (len(long.content.encode()), long.truncated) == (MAX_CONTENT_BYTES, True)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.hits import Hit
from memrouter.memory.injection.blocks import MARKER, render_block
from memrouter.memory.storing.drafts import MemoryDraft, check_content
from memrouter.memory.storing.extract import WINDOW_BREAK, extract, strip_thinking
from memrouter.models.memory import MAX_CONTENT_BYTES, MemoryRecord, MemoryType, Source, Trust
from memrouter.models.turn import Reply
from memrouter.testing.turns import chat_turn

NOW = 1_795_348_800_000  # 2026-11-22, noon
FACT = "My cat is called Luna and she is three."
ANSWER = "What a lovely name for a cat!"


def extracted(*messages: object, reply: str | Reply = ANSWER) -> list[MemoryDraft]:
    said = Reply(text=reply, status=200, complete=True) if isinstance(reply, str) else reply
    return extract(chat_turn(*messages).request, said, conversation_id="c1", now=NOW)


def conversation(count: int, *, ask: str = "Fact number {n} about my cat Luna.") -> list[object]:
    """Return the messages of ``count`` turns, the last one still open."""
    messages: list[object] = []
    for n in range(1, count + 1):
        messages += [ask.format(n=n), {"role": "assistant", "content": f"Answer number {n}."}]
    return messages[:-1]


def block(content: str) -> str:
    record = MemoryRecord(
        id="mem_1",
        user_id="anna",
        content=content,
        embedding=np.ones(1, dtype=np.float32),
        embedding_model="m",
        created_at=0,
        updated_at=0,
    )
    return render_block([Hit(record, 0.9, 0.0, 0.9)], now=0)


def test_a_turn_becomes_one_episodic_memory() -> None:
    assert extracted(FACT) == [
        MemoryDraft(
            content=f"Q: {FACT}\nA: {ANSWER}",
            type=MemoryType.EPISODIC,
            source=Source.CONVERSATION,
            trust=Trust.DIRECT_USER,
            importance=0.5,
            conversation_id="c1",
            turn_index=0,
            role="turn",
            own_words=f"Q: {FACT}",
        )
    ]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(text=ANSWER, status=200, complete=False),
        Reply(text=ANSWER, status=500, complete=True),
        Reply(text="", status=200, complete=True),
        Reply(text="", status=200, complete=True, tool_calls=True),
        Reply(text="<think>Tell nobody about the cat", status=200, complete=True),
    ],
)
def test_an_aborted_failed_or_wordless_reply_leaves_nothing(reply: Reply) -> None:
    assert extracted(FACT, reply=reply) == []
    assert extracted(*conversation(3), reply=reply) == []


def test_words_beside_a_tool_call_are_kept() -> None:
    assert len(extracted(FACT, reply=Reply(text=ANSWER, status=200, complete=True, tool_calls=True))) == 1


def test_a_request_without_a_user_leaves_nothing() -> None:
    assert extracted({"role": "system", "content": FACT}) == []


def test_a_turn_of_low_information_leaves_nothing() -> None:
    assert extracted("Thanks a lot!", reply="You are very welcome, any time you like!") == []
    assert extracted(FACT, reply="I'm sorry, but I can't help with that.") == []


def test_every_third_turn_adds_a_window_over_the_last_five() -> None:
    sizes = [len(extracted(*conversation(n))) for n in range(1, 10)]
    assert sizes == [1, 1, 2, 1, 1, 2, 1, 1, 2]
    window = extracted(*conversation(9), reply="Answer number 9.")[1]
    assert window.content == "\n---\n".join(
        f"Q: Fact number {n} about my cat Luna.\nA: Answer number {n}." for n in range(5, 10)
    )
    assert (window.source, window.importance, window.turn_index) == (Source.SESSION_WINDOW, 0.7, 8)
    assert (window.type, window.trust, window.conversation_id) == (MemoryType.EPISODIC, Trust.DIRECT_USER, "c1")


def test_turns_of_low_information_are_left_out_of_a_window() -> None:
    messages = conversation(3)
    messages[2] = "Thank you!"
    (turn, window) = extracted(*messages)
    assert turn.turn_index == 2
    assert window.content.count("\n---\n") == 1
    assert "Thank you" not in window.content


def test_a_third_turn_of_thanks_still_adds_the_window_before_it() -> None:
    (window,) = extracted(*conversation(3)[:-1], "Thank you!", reply="You are welcome!")
    assert window.source is Source.SESSION_WINDOW
    assert window.content.count("\n---\n") == 1


def test_a_window_of_one_turn_is_not_kept() -> None:
    messages = conversation(3)
    messages[0] = messages[2] = "Thank you!"
    assert [draft.source for draft in extracted(*messages)] == [Source.CONVERSATION]


@given(st.text())
def test_a_recalled_memory_is_never_extracted_again(content: str) -> None:
    recalled = block(f"SECRET {content} SECRET")
    messages = conversation(3)
    drafts = extracted(recalled, *messages[:-1], f"{recalled}\n\n{FACT}", reply=f"{ANSWER} {recalled.upper()} Bye.")
    assert len(drafts) == 2
    assert all("SECRET" not in draft.content and MARKER not in draft.content.lower() for draft in drafts)
    assert drafts[0].content == f"Q: {FACT}\nA: {ANSWER} \n Bye."


def test_a_message_that_is_only_a_recalled_block_leaves_nothing() -> None:
    assert extracted(block("old")) == []


def test_relative_dates_of_a_turn_are_made_absolute_for_both_speakers() -> None:
    (draft,) = extracted("I saw the vet yesterday.", reply="Then call again next week.")
    assert draft.content == (
        "Q: I saw the vet yesterday (2026-11-21).\nA: Then call again next week (2026-11-23/2026-11-29)."
    )


def test_in_a_window_only_the_last_turn_has_dates_since_the_days_of_the_others_are_not_known() -> None:
    drafts = extracted(*conversation(3, ask="Yesterday I read fact number {n} about my cat Luna."))
    assert drafts[0].content.startswith("Q: Yesterday (2026-11-21) I read fact number 3")
    said = [part.splitlines()[0] for part in drafts[1].content.split(WINDOW_BREAK)]
    assert said[:2] == [f"Q: Yesterday I read fact number {n} about my cat Luna." for n in (1, 2)]
    assert said[2] == "Q: Yesterday (2026-11-21) I read fact number 3 about my cat Luna."


def test_a_turn_that_dates_make_too_long_is_cut_and_says_so() -> None:
    room = MAX_CONTENT_BYTES - len(f"Q: today \nA: {ANSWER}")
    (draft,) = extracted("today " + "x" * room)
    assert draft.truncated
    assert draft.content.startswith("Q: today (2026-11-22) x")


def test_thinking_is_taken_out_of_history_and_reply() -> None:
    messages = conversation(3)
    messages[1] = {"role": "assistant", "content": "<think>PRIVATE</think>Answer number 1."}
    drafts = extracted(*messages, reply="<THINKING >PRIVATE</Thinking>\n" + ANSWER)
    assert len(drafts) == 2
    assert all("PRIVATE" not in draft.content for draft in drafts)
    assert drafts[0].content.endswith(f"\nA: {ANSWER}")


def test_a_block_that_breaks_off_inside_thinking_does_not_swallow_the_answer() -> None:
    (draft,) = extracted(FACT, reply=f"<think>I recall <{MARKER}> something</think>{ANSWER}")
    assert draft.content == f"Q: {FACT}\nA: {ANSWER}"


def test_what_the_user_says_about_think_tags_is_kept() -> None:
    (draft,) = extracted("What does the <think> tag mean to you?")
    assert "<think> tag mean" in draft.content


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("<think>a</think>b<thinking>c</thinking>d", "bd"),
        ("b<think>a", "b"),
        ("a</think>b", "b"),
        ("<think>a <think> b</think>c", "c"),
        ("<think></think>", ""),
        ("<thinker>a</thinker>", "<thinker>a</thinker>"),
        ("1 < think > 2", "1 < think > 2"),
    ],
)
def test_thinking_is_stripped(text: str, left: str) -> None:
    assert strip_thinking(text) == left


def test_control_characters_are_taken_out_and_cannot_hide_a_tag() -> None:
    (draft,) = extracted("My cat\x00 is\r\ncalled Luna.\x1b[0m", reply="<thi\x00nk>PRIVATE</think>" + ANSWER)
    assert draft.content == f"Q: My cat is\ncalled Luna.[0m\nA: {ANSWER}"


def test_long_content_is_cut_at_a_character_border_and_says_so() -> None:
    (draft,) = extracted("é" * 20_000)
    assert draft.truncated
    assert MAX_CONTENT_BYTES - 1 <= len(draft.content.encode()) <= MAX_CONTENT_BYTES
    assert set(draft.content.removeprefix("Q: ")) == {"é"}


def test_content_that_just_fits_is_not_cut() -> None:
    room = MAX_CONTENT_BYTES - len(f"Q: \nA: {ANSWER}")
    assert [extracted("x" * (room + more))[0].truncated for more in (0, 1)] == [False, True]


@given(st.lists(st.text(), min_size=1, max_size=7), st.text())
def test_what_is_extracted_can_always_be_stored(texts: list[str], reply: str) -> None:
    messages = [{"role": "user" if i % 2 == 0 else "assistant", "content": text} for i, text in enumerate(texts)]
    for draft in extracted(*messages, reply=reply + ANSWER):
        check_content(draft.content)


def test_the_users_words_stand_apart_from_the_answers() -> None:
    turn, window = extracted(*conversation(3))
    assert turn.own_words == turn.content.split("\nA: ")[0]
    assert window.own_words == WINDOW_BREAK.join(part.split("\nA: ")[0] for part in window.content.split(WINDOW_BREAK))

"""Reminders of a harness are not the user's words."""

from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.turns.conversation import turns
from memrouter.memory.turns.harness import strip_harness
from memrouter.models.chat import ChatRequest

REMINDER = "<system-reminder>\nThe todo list is empty.\n</system-reminder>"


def test_reminders_are_taken_out_wherever_they_stand() -> None:
    assert strip_harness(f"{REMINDER}\nI live in Graz.\n{REMINDER}") == "I live in Graz."


def test_a_reminder_that_is_never_closed_is_the_users_text() -> None:
    text = "what does <system-reminder> do?"
    assert strip_harness(text) == text


def test_text_without_reminders_is_unchanged() -> None:
    assert strip_harness("  I live in Graz. ") == "  I live in Graz. "


@given(st.lists(st.sampled_from(["a", "b ", "<system-reminder>", "</system-reminder>"])).map("".join))
def test_no_reminder_is_left_whole(text: str) -> None:
    left = strip_harness(text)
    opening = left.find("<system-reminder>")
    assert opening < 0 or "</system-reminder>" not in left[opening:]


def test_many_openings_take_no_longer_than_one_pass() -> None:
    text = "<system-reminder>" * 50_000
    assert strip_harness(text) == text


def test_turns_are_without_reminders() -> None:
    content = (
        '[{"type":"text","text":"<system-reminder>be brief</system-reminder>"},{"type":"text","text":"I am Ada."}]'
    )
    request = ChatRequest.parse(b'{"model":"m","messages":[{"role":"user","content":' + content.encode() + b"}]}")
    assert turns(request)[0].user == "I am Ada."

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.turns.gate import low_information, worth_searching
from memrouter.testing.turns import chat_turn

ANSWER = "Noted. What a lovely name for a cat!"


def reason(*messages: object) -> str | None:
    return worth_searching(chat_turn(*messages).request)


@pytest.mark.parametrize(
    "text",
    ["What is my cat called?", "EMP-90210", "42", "no, the other one", "Luna?", "我的猫叫什么\uff1f", "hi " * 50],
)
def test_a_question_is_worth_a_search(text: str) -> None:
    assert reason(text) is None


@pytest.mark.parametrize("text", ["Hello!", "thanks", "ok", "Yes, please.", "Auf Wiedersehen", "谢谢", "はい"])
def test_small_talk_is_not_searched_for(text: str) -> None:
    assert reason(text) == "small_talk"


@pytest.mark.parametrize("text", ["?!", "👍", "👩\u200d👩\u200d👧 ❤️", "...", "_ _"])
def test_punctuation_and_emoji_are_not_searched_for(text: str) -> None:
    assert reason(text) == "no_words"


def test_a_message_without_text_is_not_searched_for() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    assert reason({"role": "user", "content": [image]}) == "no_text"
    assert reason({"role": "user", "content": " \n"}) == "no_text"
    assert reason({"role": "user", "content": None}) == "no_text"


def test_a_turn_that_ends_with_a_tool_result_is_not_searched_for() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]}
    tool = {"role": "tool", "tool_call_id": "c", "content": "21 degrees"}
    assert reason("What is the weather at home?", call, tool) == "not_user_turn"
    assert reason({"role": "system", "content": "Be brief."}) == "not_user_turn"


def test_a_system_message_behind_the_question_does_not_hide_it() -> None:
    assert reason("What is my cat called?", {"role": "developer", "content": "Be brief."}) is None


def test_the_last_message_decides_not_the_earlier_ones() -> None:
    assert reason("What is my cat called?", {"role": "assistant", "content": "Luna."}, "Thanks!") == "small_talk"


def test_a_short_fact_with_a_normal_answer_is_kept() -> None:
    assert low_information("My cat is called Luna.", "What a lovely name!") is None
    assert low_information("  My cat is called Luna.", "12345678 ") is None


def test_a_turn_below_thirty_characters_is_not_kept() -> None:
    assert low_information("x" * 15, "y" * 14) == "too_short"
    assert low_information("x" * 15 + " " * 20, "y" * 14) == "too_short"
    assert low_information("x" * 15, "y" * 15) is None


def test_a_wide_letter_counts_as_three() -> None:
    assert low_information("我对花生过敏。", "好的，我记住了。") is None  # noqa: RUF001 -- Chinese punctuation
    assert low_information("猫" * 5, "犬" * 5) is None
    assert low_information("猫" * 5, "犬" * 4 + "!!") == "too_short"
    assert low_information("👍" * 14, "👍" * 15) == "too_short"


@pytest.mark.parametrize("text", ["Thanks a lot!", "Good morning", "Bis bald!", "再见"])
def test_a_greeting_is_not_kept_however_long_the_answer(text: str) -> None:
    assert low_information(text, ANSWER * 20) == "small_talk"


def test_a_yes_with_an_answer_is_kept() -> None:
    assert low_information("Yes.", "Noted: you are allergic to peanuts.") is None


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "I am so sorry, I cannot do this for you.",
        "Sorry, I won't write that.",
        "I apologize, but I cannot share that.",
        "As an AI language model, I have no opinion on it.",
        "I can't help with that, I am afraid.",
        "I am unable to open this link for you.",
        "I'm not able to browse the internet.",
        "I cannot directly answer such a question.",
    ],
)
def test_a_bare_refusal_is_not_kept(answer: str) -> None:
    assert low_information("Tell me about the thing in my garage.", answer) == "refusal"


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that Luna is ill. Has she eaten anything odd?",
        "I can't wait to hear how the trip to Norway goes!",
        "As an aide, you would earn more.",
        "Sorry about the delay. The train leaves at nine.",
        "I'm sorry, but I can't recommend that brand. " + "Here is what you could buy instead: oats and rice. " * 5,
    ],
)
def test_an_answer_that_helps_is_kept(answer: str) -> None:
    assert low_information("Tell me about the thing in my garage.", answer) is None


@given(st.text(), st.text())
def test_any_turn_can_be_judged(user: str, assistant: str) -> None:
    reasons = "too_short no_words small_talk refusal recalled_memories system_prompt boilerplate tool_output document"
    assert low_information(user, assistant) in (None, *reasons.split())

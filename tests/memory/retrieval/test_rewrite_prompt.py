"""What a model is asked for when it rewrites a query, and what counts as an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.rewrite_prompt import INSTRUCTIONS, MAX_SEARCH_TEXT_CHARS, rewrite_messages, search_text
from memrouter.memory.turns.conversation import PastTurn


def test_the_model_reads_the_turns_and_then_the_message() -> None:
    history = [PastTurn("I have a canary.", "How nice!"), PastTurn("It sings.", "")]
    system, user = rewrite_messages(history, "What is it called?")
    assert system == {"role": "system", "content": INSTRUCTIONS}
    assert user == {
        "role": "user",
        "content": "Conversation:\nUser: I have a canary.\nAssistant: How nice!\nUser: It sings.\n\n"
        "New message:\nWhat is it called?\n\nSearch text:",
    }


def test_recalled_memories_are_not_shown() -> None:
    block = "<memrouter-memories>\nsecret\n</memrouter-memories>\nand I sing"
    assert "secret" not in rewrite_messages([PastTurn(block, block)], "q")[1]["content"]


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(1, 30_000)), max_size=4), st.integers(0, 100_000))
def test_the_prompt_is_bounded(turns: list[tuple[str, int]], length: int) -> None:
    history = [PastTurn(text * times, text * times) for text, times in turns]
    assert len(rewrite_messages(history, "q" * length)[1]["content"]) <= 2100 + len(turns) * 1300


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("What is my canary called?", "What is my canary called?"),
        ("  What is\n my   canary called? \n", "What is my canary called?"),
        ('"What is my canary called?"', "What is my canary called?"),
        ("Search text: \u201cmy canary\u201d", "my canary"),
        ("REWRITTEN QUERY: my canary", "my canary"),
        ("<think>the user wants</think>\nmy canary", "my canary"),
        ("the user wants</think>my canary", "my canary"),
        ("my\x00 \x1b[31mcanary", "my [31mcanary"),
        ("<memrouter-memories>x</memrouter-memories> my canary", "my canary"),
        ("w" * MAX_SEARCH_TEXT_CHARS, "w" * MAX_SEARCH_TEXT_CHARS),
        ("w" * (MAX_SEARCH_TEXT_CHARS + 1), None),
        ("", None),
        (' "" ', None),
        ("...", None),
        ("<think>and so on", None),
        ("Query:", None),
    ],
)
def test_an_answer_is_one_plain_line_or_none(answer: str, expected: str | None) -> None:
    assert search_text(answer) == expected


@given(st.text(max_size=2000))
def test_any_answer_gives_one_bounded_line_or_none(answer: str) -> None:
    text = search_text(answer)
    if text is not None:
        assert 0 < len(text) <= MAX_SEARCH_TEXT_CHARS
        assert text.splitlines() == [text]
        assert text == text.strip()
        text.encode()

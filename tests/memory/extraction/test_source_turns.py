import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.extraction.source_turns import is_source, spoken
from memrouter.models.memory import Source

from .extraction_records import turn


def test_a_turn_is_parted_into_question_and_answer() -> None:
    words = spoken(turn("I live in Ghent.\nYes.", "Lovely.\n\nA: what?"))
    assert (words.user, words.assistant) == ("I live in Ghent.\nYes.", "Lovely.\n\nA: what?")


@given(st.text(), st.text())
def test_the_assistant_s_words_are_never_the_user_s(user: str, assistant: str) -> None:
    words = spoken(turn(user, assistant))
    assert user.startswith(words.user)
    assert words.assistant.endswith(assistant)


@pytest.mark.parametrize(
    "changes",
    [{"source": Source.SESSION_WINDOW}, {"source": Source.API}, {"role": "tool"}, {"quarantine": "role_markers"}],
)
def test_only_turns_that_are_not_kept_apart_give_facts(changes: dict[str, object]) -> None:
    assert is_source(turn("I live in Ghent."))
    assert not is_source(turn("I live in Ghent.", **changes))

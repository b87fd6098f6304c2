"""What must agree, so that two texts may become one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.upkeep.particulars import Particulars

ANALYZER = Analyzer()


def of(text: str) -> Particulars:
    return Particulars.of(text, ANALYZER)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My flight leaves on May 3", "My flight leaves on May 8"),
        ("I have two cats", "I have three cats"),
        ("I like coffee", "I don't like coffee"),
        ("I like coffee", "I don\u2019t like coffee"),
        ("Ich esse Fleisch", "Ich esse kein Fleisch"),
        ("\u042f \u0435\u043c \u043c\u044f\u0441\u043e", "\u042f \u043d\u0435 \u0435\u043c \u043c\u044f\u0441\u043e"),
        ("\u6211\u559c\u6b22\u5496\u5561", "\u6211\u4e0d\u559c\u6b22\u5496\u5561"),
        ("My sister is called Anna", "My sister is called Berta"),
        ("Order EMP-90210 is late", "Order EMP-90211 is late"),
        ("The meeting is on monday", "The meeting is on friday"),
    ],
)
def test_texts_that_contradict_each_other_do_not_agree(one: str, other: str) -> None:
    assert not of(one).agrees_with(of(other))
    assert not of(other).agrees_with(of(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I have a dog", "I have a dog called Rex"),
        ("My flight leaves on May 3", "My flight to Rome leaves on May 3 at 9:40"),
        ("Every day I drink tea.", "I drink tea every day"),
    ],
)
def test_a_text_that_is_more_exact_agrees(one: str, other: str) -> None:
    assert of(one).agrees_with(of(other))


def test_a_capital_at_the_start_of_a_sentence_is_no_name() -> None:
    assert of("Q: Where do I live?\nA: You live in Rome. Nice place.").names == {"rome"}


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_two_texts_can_be_compared_either_way_round(one: str, other: str) -> None:
    left, right = of(one), of(other)
    assert left.agrees_with(right) == right.agrees_with(left)
    assert left.overlap(right) == right.overlap(left)
    assert 0 <= left.overlap(right) <= 1
    assert left.agrees_with(left)

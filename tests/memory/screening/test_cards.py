from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.evaluation.fake_secrets import FAKES
from memrouter.memory.screening import cards
from memrouter.memory.screening.cards import card_numbers


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in card_numbers(text)]


@pytest.mark.parametrize("name", ["card", "card_spaces", "card_dashes", "amex"])
def test_a_card_number_is_found_however_it_is_grouped(name: str) -> None:
    for seed in range(30):
        number = FAKES[name].make(Random(seed))
        assert found(f"use {number}, please") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "1234567812345670",
        "0000000000000000",
        "41 11 11 11 11 11 11 11",
        "order number 4111111111111111",
        "tracking 5500000000000004",
        "x4111111111111111",
        "4111111111111111-7",
        "3.4111111111111111",
        "1714560000000",
        "IMEI 490154203237518",
    ],
)
def test_a_number_that_is_no_card_stays(text: str) -> None:
    assert found(text) == []


def test_a_card_number_over_two_lines_is_found_and_a_column_of_numbers_is_not() -> None:
    assert found("card 4111 1111\n 1111 1111") == ["4111 1111\n 1111 1111"]
    assert found("card 4111 1111\u200b 1111 1111") == ["4111 1111\u200b 1111 1111"]
    assert found("4111\n1111\n1111\n1111") == []


def test_a_card_that_pays_for_an_order_is_a_card() -> None:
    assert found("order 12 is paid by card 4111111111111111") == ["4111111111111111"]


@given(st.text(alphabet=st.sampled_from("0123456789 -.x")))
def test_any_digits_can_be_searched(text: str) -> None:
    assert all(13 <= sum(map(str.isdigit, number)) <= 19 for number in found(text))


@given(
    st.lists(st.sampled_from(["4", "11", "0000", " ", "-", ".", "\n", " \n ", "x", "\u0664"]), max_size=40).map("".join)
)
def test_a_text_is_passed_over_only_where_no_run_of_digits_is_long_enough(text: str) -> None:
    assert cards._MANY.search(text) is not None or cards._DIGITS.search(text) is None

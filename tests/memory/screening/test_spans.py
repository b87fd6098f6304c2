from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.screening.spans import Span, apart, levelled, masked


def test_a_span_is_replaced_by_the_name_of_its_kind() -> None:
    assert masked("pay with 1234 now", [Span(9, 13, "card_number")]) == "pay with [card_number removed] now"


def test_of_overlapping_spans_the_first_names_the_whole() -> None:
    assert apart([Span(2, 6, "a"), Span(4, 9, "b")]) == [Span(2, 9, "a")]
    assert apart([Span(4, 9, "a"), Span(2, 6, "b")]) == [Span(2, 9, "a")]


def test_digits_of_other_scripts_are_levelled() -> None:
    assert levelled("\uff14\u0661\u00a0\u2013x") == "41 -x"


@given(st.text())
def test_levelling_keeps_every_place(text: str) -> None:
    assert len(levelled(text)) == len(text)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9))))
def test_nothing_that_was_found_is_left_over(places: list[tuple[int, int]]) -> None:
    spans = [Span(start, start + size, "k") for start, size in places]
    kept = apart(spans)
    assert all(a.end <= b.start for a, b in pairwise(kept))
    assert {i for s in spans for i in range(s.start, s.end)} == {i for s in kept for i in range(s.start, s.end)}

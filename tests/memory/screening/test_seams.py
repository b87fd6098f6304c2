from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.screening import seams
from memrouter.memory.screening.seams import joined
from memrouter.memory.screening.spans import Span


def test_a_text_without_breaks_has_no_seam() -> None:
    assert joined("one two three", lines=True) is None
    assert joined("a line\nand words behind it", lines=True) is None
    assert joined("abcd\n1234", lines=False) is None


def test_what_is_found_is_placed_in_the_original_text() -> None:
    whole = joined("ab cdef\n 12gh and ijkl\u200bmnop", lines=True)
    assert whole is not None
    assert whole.text == "ab cdef12gh and ijklmnop"
    assert whole.original(Span(3, 11, "x")) == Span(3, 13, "x")
    assert whole.original(Span(16, 24, "x")) == Span(18, 27, "x")
    assert whole.original(Span(0, 7, "x")) == Span(0, 7, "x")
    assert whole.original(Span(7, 11, "x")) == Span(9, 13, "x")


@given(st.text(alphabet="ab1\n\u200b\"+ '\\-"))
def test_the_places_of_any_text_lie_within_it(text: str) -> None:
    whole = joined(text, lines=True)
    if whole is None:
        return
    assert len(whole.text) + whole.removed[-1] == len(text)
    for start in range(len(whole.text)):
        for end in range(start + 1, len(whole.text) + 1):
            found = whole.original(Span(start, end, "x"))
            assert text[found.start] == whole.text[start]
            assert text[found.end - 1] == whole.text[end - 1]


@given(st.text(alphabet="aZ_-19\n\r\t >\\\"'+ :"), st.booleans())
def test_a_text_is_passed_over_only_where_it_has_no_seam(text: str, lines: bool) -> None:
    pattern = seams._SEAM if lines else seams._HIDDEN_SEAM
    assert (joined(text, lines=lines) is None) == (pattern.search(text) is None)

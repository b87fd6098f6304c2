"""Text in pages: whatever it is, it stays text."""

import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from memrouter.inspector.shown_text import brief, plain, shown

ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=200)
HIDDEN = re.compile(r'<span class="hidden-char">U\+([0-9A-F]{4,6})</span>')


@given(ANYTHING)
def test_markup_gives_back_exactly_the_text(text: str) -> None:
    markup = str(shown(text))
    bare = HIDDEN.sub(lambda found: chr(int(found[1], 16)), markup)
    assert html.unescape(bare) == text


@given(ANYTHING)
def test_nothing_of_a_text_becomes_markup(text: str) -> None:
    bare = HIDDEN.sub("", str(shown(text)))
    assert not set("<>\"'") & set(bare)
    assert isinstance(shown(text), Markup)


@given(ANYTHING)
def test_no_control_or_mark_of_direction_is_left(text: str) -> None:
    left = {char for char in HIDDEN.sub("", str(shown(text))) if char not in "\n\t"}
    assert not {char for char in left if unicodedata.category(char) in ("Cc", "Cs")}
    assert not {char for char in left if unicodedata.bidirectional(char) in RULES}


RULES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "line\nline\ttab",
    ],
)
def test_what_scripts_and_emoji_need_stays(text: str) -> None:
    assert str(shown(text)) == text


def test_tag_characters_outside_flags_are_made_visible() -> None:
    assert "U+E0041" in shown("x\U000e0041")
    assert "U+E0041" in shown("\U0001f3f4\U000e0041\U000e007f")


@given(ANYTHING, st.integers(1, 50))
def test_a_brief_text_is_the_beginning_of_the_whole(text: str, most: int) -> None:
    if len(text) > most:
        assert brief(text, most) == shown(text[:most].rstrip() + "…")
    else:
        assert brief(text, most) == shown(text)


@given(ANYTHING, st.integers(2, 50))
def test_a_plain_text_is_one_short_line(text: str, most: int) -> None:
    line = plain(text, most)
    assert len(line) <= most
    assert line == " ".join(line.split())
    line.encode()

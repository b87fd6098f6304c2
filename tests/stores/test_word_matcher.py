"""Words are found as SQLite's FTS5 finds them."""

import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memrouter.stores.word_matcher import MAX_WORDS, WordMatcher

TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "Nd", "Zs", "P"], max_codepoint=0x24F), max_size=40)


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("Green Tea", "tea", True), ("teapot", "tea", False), ("ZÜRICH", "zurich", True), ("Zurich", "zürich", True),
        ("EMP-90210", "90210", True), ("a b c", "b-c", True), ("a c b", "b-c", False), ("snake_case", "case", True),
        ("用户 说", "用户", True), ("tea", "", False), ("tea", "--", False), ("", "tea", False),
        ("e\u0301t\u00e9", "été", True),
    ],
)  # fmt: skip
def test_whole_words_match_in_any_case_and_without_accents(text: str, word: str, found: bool) -> None:
    assert WordMatcher([word]).matches(text) is found


@given(TEXTS, st.lists(TEXTS, max_size=3))
@example("Straße", ["strasse"])
def test_matching_agrees_with_fts5(text: str, words: list[str]) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE t USING fts5(c, tokenize = 'unicode61 remove_diacritics 2')")
    database.execute("INSERT INTO t VALUES (?)", (text,))
    quoted = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
    expected = bool(words) and bool(database.execute("SELECT 1 FROM t WHERE t MATCH ?", (quoted,)).fetchall())
    database.close()
    assert WordMatcher(words).matches(text) is expected


@given(TEXTS.filter(str.isascii), st.lists(TEXTS, max_size=3))
def test_an_ascii_text_that_matches_holds_one_of_the_ascii_words(text: str, words: list[str]) -> None:
    matcher = WordMatcher(words)
    if matcher.matches(text):
        assert any(word in text.lower() for word in matcher.ascii_words)


def test_no_more_than_a_fixed_number_of_words_counts() -> None:
    words = [f"w{number}" for number in range(MAX_WORDS + 1)]
    assert WordMatcher(words).matches(f"w{MAX_WORDS - 1}")
    assert not WordMatcher(words).matches(f"w{MAX_WORDS}")

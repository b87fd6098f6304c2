"""Regular expressions that keep memories out of prompts."""

import logging

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.reflection.block_patterns import BlockPatterns
from memrouter.memory.reflection.drops import Drop

ENDLESS = r"^(a|a|aa)+$"
BUSY = "a" * 5000 + "!"


def test_a_pattern_is_searched_anywhere_and_case_counts() -> None:
    patterns = BlockPatterns([r"\bPIN\b", "x{3}"])
    assert patterns.verdict("my PIN is 1") is Drop.BLOCKED
    assert patterns.verdict("my pin is 1") is None
    assert patterns.verdict("axxxb") is Drop.BLOCKED


def test_no_patterns_block_nothing() -> None:
    assert not BlockPatterns([])
    assert BlockPatterns(["a"])
    assert BlockPatterns([]).verdict("anything") is None


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(regex.error):
        BlockPatterns(["(("])


def test_a_text_made_to_keep_a_pattern_busy_does_not_get_past_it(caplog: pytest.LogCaptureFixture) -> None:
    patterns = BlockPatterns(["nothing", ENDLESS])
    with caplog.at_level(logging.WARNING):
        assert [patterns.verdict(BUSY) for _ in range(3)] == [Drop.PATTERN_TIMEOUT] * 3
        assert BlockPatterns([ENDLESS, "!"]).verdict("a!") is Drop.BLOCKED
    (warned,) = caplog.messages
    assert "block_patterns[1]" in warned
    assert "aaa" not in warned


@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    assert BlockPatterns([r"(?i)password\s*:"]).verdict(text) in (None, Drop.BLOCKED)

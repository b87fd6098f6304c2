import logging

import pytest
import regex

from memrouter.memory.screening.timed_pattern import TimedPattern

ENDLESS = r"^(a|a|aa)+$"
BUSY = "a" * 5000 + "!"


def test_every_place_is_found_and_empty_findings_are_none() -> None:
    assert TimedPattern(r"\d*", key="k").spans("a1b22") == [(1, 2), (3, 5)]
    assert TimedPattern("x", key="k").found("axb")
    assert not TimedPattern("x", key="k").found("ab")


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(regex.error):
        TimedPattern("((", key="k")


def test_a_text_made_to_keep_a_pattern_busy_does_not_get_past_it(caplog: pytest.LogCaptureFixture) -> None:
    pattern = TimedPattern(ENDLESS, key="quarantine.patterns[0]")
    with caplog.at_level(logging.WARNING):
        assert pattern.found(BUSY)
        assert pattern.spans(BUSY) is None
    (warned,) = caplog.messages
    assert warned.startswith("quarantine.patterns[0] needs more than 10 ms")
    assert "aaa" not in warned

"""Bars and lines on stderr."""

import pytest

from memrouter.cli.progress import Bars


def test_without_a_terminal_only_what_has_to_be_told_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.begin("importing", total=None)
        bars.advance(5)
        bars.say("going on behind [bold]line 5[/] \x1b[2J")
        bars.begin("importing", total=9)
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors == "going on behind [bold]line 5[/]  [2J\n"

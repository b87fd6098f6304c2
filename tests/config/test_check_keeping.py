"""Checks of the patterns of redaction and quarantine."""

from typing import Any

import pytest

from memrouter.config.check import check_settings
from memrouter.config.findings import Finding
from memrouter.config.paths import dotted
from memrouter.config.settings import Settings

MEMORY = "global.stores.memory"


def findings(**memory: Any) -> list[Finding]:
    return check_settings(Settings.model_validate({"global": {"stores": {"memory": memory}}}))


def redaction(*patterns: dict[str, str]) -> list[Finding]:
    return findings(redaction={"patterns": patterns})


def test_good_patterns_pass() -> None:
    assert redaction({"name": "badge", "pattern": r"B-\d{4}"}, {"name": "desk", "pattern": "D"}) == []
    assert findings(quarantine={"patterns": ["(?i)bluebird"]}) == []


@pytest.mark.parametrize(("pattern", "allowed"), [("((", "a regular expression"), (r"\d*", "does not match the empty")])
def test_a_bad_pattern_is_refused_with_its_place(pattern: str, allowed: str) -> None:
    (finding,) = redaction({"name": "fine", "pattern": "x"}, {"name": "badge", "pattern": pattern})
    assert dotted(finding.path) == f"{MEMORY}.redaction.patterns[1].pattern"
    assert allowed in finding.allowed
    (finding,) = findings(quarantine={"patterns": ["x", pattern]})
    assert dotted(finding.path) == f"{MEMORY}.quarantine.patterns[1]"


@pytest.mark.parametrize("name", ["badge", "email"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    (finding,) = redaction({"name": "badge", "pattern": "x"}, {"name": name, "pattern": "y"})
    assert dotted(finding.path) == f"{MEMORY}.redaction.patterns[1].name"

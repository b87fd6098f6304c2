from memrouter.memory.screening.rules import HINTS, PATTERNS, RULES


def test_every_pattern_belongs_to_a_known_rule_and_has_hints() -> None:
    assert all(rule.name in RULES and rule.hints and "" not in rule.hints for rule in PATTERNS)
    assert all(rule.hints <= HINTS for rule in PATTERNS)


def test_hints_are_in_folded_form() -> None:
    assert all(hint == hint.casefold() for hint in HINTS)

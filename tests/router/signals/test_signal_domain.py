"""Every request is of the category that the Go router falls back to."""

from memrouter.config.routing import DomainRule
from memrouter.router.signals.domain import DomainSignals
from memrouter.testing.turns import chat_turn


async def test_rules_that_cover_other_match_whatever_is_asked_and_no_rule_else_does() -> None:
    rules = [
        DomainRule(name="general", mmlu_categories=("other",)),
        DomainRule(name="mixed", mmlu_categories=("law", "other")),
        DomainRule(name="other"),
        DomainRule(name="law"),
        DomainRule(name="business", mmlu_categories=("business", "economics")),
    ]
    signals = DomainSignals(rules)
    for text in ("Is this contract void?", ""):
        assert await signals.evaluate(chat_turn(text)) == {"general", "mixed", "other"}

"""The alert rules say what they mean: of metrics that exist, tried with series, and each with a page to turn to."""

import re
from typing import Any

import pytest

from .shipped import (
    CASES,
    PROMETHEUS,
    RULES,
    RUNBOOK,
    TARGET_LABELS,
    alerts,
    cases,
    exposed,
    groupings,
    promtool,
    rules,
    selectors,
)

ALERTS = alerts()
RULE_NAMES = [rule.get("alert") or rule["record"] for rule in rules()]


def by_name(rule: dict[str, Any]) -> str:
    return str(rule.get("alert") or rule["record"])


def labels_of(name: str) -> frozenset[str]:
    """Return the labels of a metric of the router, or of a series that a rule records."""
    known = exposed()
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    if name in recorded:
        return frozenset().union(*(labels_of(selector.name) for selector in selectors(recorded[name])))
    return known[name]


def test_promtool_accepts_rules_and_configuration() -> None:
    assert f"{len(RULE_NAMES)} rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_every_alert_fires_when_it_should_and_stays_quiet_when_it_should() -> None:
    promtool("test", "rules", CASES)


@pytest.mark.parametrize("alert", ALERTS, ids=by_name)
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: dict[str, Any]) -> None:
    wanted = f'count(ALERTS{{alertname="{alert["alert"]}",alertstate="firing"}})'
    outcomes = [
        bool(check["exp_samples"])
        for case in cases()
        for check in case["promql_expr_test"]
        if check["expr"] == wanted and case["input_series"]
    ]
    assert sorted(outcomes) == [False, True]


@pytest.mark.parametrize("rule", rules(), ids=by_name)
def test_every_rule_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    asked = selectors(rule["expr"])
    assert asked or rule["expr"].startswith("up{")
    known = exposed()
    recorded = {each["record"] for each in rules() if "record" in each}
    for selector in asked:
        assert selector.name in known or selector.name in recorded, selector.name
        assert selector.labels <= labels_of(selector.name) | TARGET_LABELS, selector
    there = frozenset().union(*(labels_of(selector.name) for selector in asked))
    assert groupings(rule["expr"]) <= there | TARGET_LABELS


@pytest.mark.parametrize("alert", ALERTS, ids=by_name)
def test_every_alert_tells_how_bad_it_is_what_it_means_and_where_to_read_on(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"
    used = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))
    assert used <= {"job", "instance", "worker", "task", "model", "backend", "operation"}


def test_the_runbook_has_one_entry_for_each_alert_in_their_order() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    assert re.findall(r"^## (Memrouter\w+)$", text, re.MULTILINE) == [alert["alert"] for alert in ALERTS]


@pytest.mark.parametrize("alert", ALERTS, ids=by_name)
def test_every_entry_of_the_runbook_says_meaning_effect_look_and_way_out(alert: dict[str, Any]) -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    entry = text.partition(f"\n## {alert['alert']}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\*\*(\w+)\.\*\*", entry, re.MULTILINE) == ["Meaning", "Effect", "Look", "Mend"]
    assert f"`{alert['labels']['severity']}`" in entry


def test_two_alerts_or_recorded_series_never_share_a_name() -> None:
    assert len(set(RULE_NAMES)) == len(RULE_NAMES)

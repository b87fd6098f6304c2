"""Rule trees, priorities, and whole configurations decide as written."""

from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.routing import DecisionSettings, RoutingSettings, RuleNode
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.models.turn import Identity
from memrouter.router.decision import DecisionEngine, holds
from memrouter.router.signals.board import SignalBoard
from memrouter.router.signals.factory import signal_evaluators
from memrouter.testing.turns import chat_turn

NAMES = ("a", "b", "c")
SAMPLE = """
signals:
  keywords:
    - {name: private, keywords: [off the record, NOMEM_MARKER]}
    - {name: code, keywords: [python, stack trace]}
    - {name: casual, keywords: [joke, weather]}
  context: [{name: long, min_tokens: 20}]
  conversation: [{name: tools, feature: {source: {type: tool_definition}}}]
  role_bindings:
    - {name: engineers-binding, role: engineer, subjects: [{kind: Group, name: engineering}]}
decisions:
  - {name: personalized_route, priority: 1, rules: {operator: AND, conditions: []}}
  - name: code_route
    priority: 50
    rules:
      operator: AND
      conditions:
        - {type: authz, name: engineer}
        - operator: OR
          conditions:
            - {type: keyword, name: code}
            - operator: AND
              conditions: [{type: context, name: long}, {type: conversation, name: tools}]
        - {operator: NOT, conditions: [{type: keyword, name: casual}]}
  - {name: engineer_route, priority: 50, rules: {type: authz, name: engineers-binding}}
  - name: no_memory_route
    priority: 200
    rules: {operator: OR, conditions: [{type: keyword, name: private}]}
"""


class Asked:
    """Signals that are known beforehand, and a list of those that were asked for."""

    def __init__(self, matching: set[str]) -> None:
        self.matching = matching
        self.names: list[str] = []

    async def matched(self, kind: str, name: str) -> bool:
        self.names.append(name)
        return name in self.matching


class WordCounter:
    async def count_many(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def leaf(name: str) -> dict[str, Any]:
    return {"type": "keyword", "name": name}


def joined(operator: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": operator, "conditions": list(conditions)}


def naive(rule: dict[str, Any], matching: set[str]) -> bool:
    if "type" in rule:
        return rule["name"] in matching
    parts = [naive(part, matching) for part in rule.get("conditions", [])]
    match rule.get("operator", "AND"):
        case "AND":
            return all(parts)
        case "OR":
            return any(parts)
        case _:
            return not parts[0]


TREES = st.recursive(
    st.sampled_from(NAMES).map(leaf) | st.just({}),
    lambda inner: (
        st.builds(lambda operator, parts: joined(operator, *parts), st.sampled_from(["AND", "OR"]), st.lists(inner))
        | inner.map(lambda part: joined("NOT", part))
        | st.lists(inner).map(lambda parts: {"conditions": parts})
    ),
    max_leaves=12,
)


@given(TREES, st.sets(st.sampled_from(NAMES)))
async def test_rule_trees_hold_as_a_naive_reading_says(tree: dict[str, Any], matching: set[str]) -> None:
    assert await holds(RuleNode.model_validate(tree), Asked(matching)) is naive(tree, matching)


@pytest.mark.parametrize(
    ("tree", "matching", "asked"),
    [
        (joined("AND", leaf("a"), leaf("b")), set(), ["a"]),
        (joined("AND", leaf("a"), leaf("b")), {"a"}, ["a", "b"]),
        (joined("OR", leaf("a"), leaf("b")), {"a"}, ["a"]),
        (joined("OR", leaf("a"), leaf("b")), set(), ["a", "b"]),
        (joined("OR", joined("NOT", leaf("a")), leaf("b")), set(), ["a"]),
        (joined("AND", joined("OR", leaf("a"), leaf("b")), leaf("c")), {"a", "c"}, ["a", "c"]),
        (joined("OR"), {"a"}, []),
        ({}, set(), []),
    ],
)
async def test_signals_that_cannot_change_the_outcome_are_not_asked_for(
    tree: dict[str, Any], matching: set[str], asked: list[str]
) -> None:
    signals = Asked(matching)
    await holds(RuleNode.model_validate(tree), signals)
    assert signals.names == asked


def decision(name: str, priority: int, signal: str) -> DecisionSettings:
    return DecisionSettings.model_validate({"name": name, "priority": priority, "rules": leaf(signal)})


@pytest.mark.parametrize(
    ("matching", "expected", "asked"),
    [
        ({"a", "b", "c"}, "high", ["b"]),
        ({"a", "c"}, "low-first", ["b", "a"]),
        ({"c"}, "low-second", ["b", "a", "c"]),
        (set(), None, ["b", "a", "c"]),
    ],
)
async def test_highest_priority_wins_then_the_order_of_the_file(
    matching: set[str], expected: str | None, asked: list[str]
) -> None:
    signals = Asked(matching)
    engine = DecisionEngine([decision("low-first", 1, "a"), decision("high", 9, "b"), decision("low-second", 1, "c")])
    chosen = await engine.decide(signals)
    assert (chosen.name if chosen else None) == expected
    assert signals.names == asked


async def test_no_decision_at_all_decides_nothing() -> None:
    assert await DecisionEngine([]).decide(Asked({"a"})) is None


ENGINEER = Identity(user_id="eve", groups=("engineering",))
TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("text", "identity", "tools", "expected", "reasons"),
    [
        ("my cat is called Luna", Identity(), [], "personalized_route", ()),
        ("this is off the record", Identity(), [], "no_memory_route", ("keyword:private",)),
        ("python, off the record", ENGINEER, [], "no_memory_route", ("keyword:private",)),
        ("a python question", Identity(), [], "personalized_route", ()),
        ("a python question", ENGINEER, [], "code_route", ("authz:engineer", "keyword:code")),
        (
            "a python joke",
            ENGINEER,
            [],
            "engineer_route",
            ("authz:engineer", "keyword:code", "keyword:casual", "authz:engineers-binding"),
        ),
        (
            "word " * 20,
            ENGINEER,
            TOOLS,
            "code_route",
            ("authz:engineer", "context:long", "conversation:tools"),
        ),
        ("word " * 20, ENGINEER, [], "engineer_route", ("authz:engineer", "context:long", "authz:engineers-binding")),
        ("word " * 19, ENGINEER, TOOLS, "engineer_route", ("authz:engineer", "authz:engineers-binding")),
    ],
)
async def test_whole_configuration_routes_as_written(
    text: str, identity: Identity, tools: list[object], expected: str, reasons: tuple[str, ...]
) -> None:
    routing = RoutingSettings.model_validate(yaml.safe_load(SAMPLE))
    evaluators = signal_evaluators(routing.signals, embedder=HashEmbedder(), tokens=WordCounter())
    board = SignalBoard(chat_turn(text, identity=identity, tools=tools), evaluators)
    chosen = await DecisionEngine(routing.decisions).decide(board)
    assert chosen is not None
    assert chosen.name == expected
    assert board.matched_names() == reasons

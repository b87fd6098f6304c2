"""Routes as operators see them: order, rules in words, the settings that hold and where each comes from."""

from typing import Any

import pytest

from memrouter.config.routing import RuleNode
from memrouter.config.settings import Settings
from memrouter.inspector.operations.route_table import RouteView, route_table, rule_text


def routes(*decisions: dict[str, Any], **memory: Any) -> list[RouteView]:
    settings = Settings.model_validate(
        {
            "providers": {"models": [{"name": "m", "backend_refs": [{"endpoint": "127.0.0.1:9"}]}]},
            "routing": {"decisions": decisions},
            "global": {"stores": {"memory": memory}},
        }
    )
    return route_table(settings, default_threshold=0.55)


def own(**configuration: Any) -> list[dict[str, Any]]:
    return [{"type": "memory", "configuration": configuration}]


def held(view: RouteView) -> dict[str, tuple[object, str]]:
    return {setting.key: (setting.value, setting.origin) for setting in view.settings}


def test_routes_stand_in_the_order_in_which_they_are_tried() -> None:
    views = routes({"name": "low", "priority": 1}, {"name": "high", "priority": 9}, {"name": "second", "priority": 9})
    assert [view.name for view in views] == ["high", "second", "low", ""]


def test_each_setting_says_where_it_comes_from() -> None:
    views = routes(
        {"name": "r", "plugins": own(retrieval_limit=10, reflection={"max_inject_tokens": 100})},
        hybrid_mode="rrf",
        reflection={"dedup_threshold": 0.8},
    )
    found = held(views[0])
    assert found["retrieval_limit"] == (10, "route")
    assert found["hybrid_mode"] == ("rrf", "global")
    assert found["adaptive_threshold"] == (True, "default")
    assert found["similarity_threshold"] == (0.55, "embedder")
    assert found["reflection.max_inject_tokens"] == (100, "route")
    assert found["reflection.dedup_threshold"] == (0.8, "global")
    assert found["injection.position"] == ("before_last_user", "default")
    assert views[0].own == 2
    assert held(views[1])["retrieval_limit"] == (5, "default")


def test_a_configured_threshold_comes_before_that_of_the_embedder() -> None:
    assert held(routes(default_similarity_threshold=0.7)[0])["similarity_threshold"] == (0.7, "global")


@pytest.mark.parametrize(
    ("plugin", "memory", "told"),
    [
        ({}, {}, "recalls and stores"),
        ({"enabled": False}, {}, "off: disabled by the configuration"),
        ({"auto_store": False}, {}, "recalls, stores nothing"),
        ({"recall": False}, {}, "stores, recalls nothing"),
        ({"recall": False, "auto_store": False}, {}, "off: neither recalls nor stores"),
        ({}, {"disabled_routes": ["r"]}, "off: listed in disabled_routes"),
        ({"enabled": True}, {"enabled": False}, "recalls and stores"),
    ],
)
def test_what_memory_does_is_said_in_words(plugin: dict[str, Any], memory: dict[str, Any], told: str) -> None:
    assert routes({"name": "r", "plugins": own(**plugin)}, **memory)[0].memory == told


def test_models_are_told_with_their_shares() -> None:
    refs = [{"model": "m", "weight": 3}, {"model": "m", "lora_name": "fine", "weight": 1}]
    assert routes({"name": "r", "modelRefs": refs})[0].models == [("m", 75.0), ("m (fine)", 25.0)]
    unweighted = [{"model": "m", "weight": 0}, {"model": "m", "weight": 0}]
    assert routes({"name": "r", "modelRefs": unweighted})[0].models == [("m", 50.0), ("m", 50.0)]
    assert routes()[-1].models == [("m", 100.0)]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({}, "always"),
        ({"operator": "OR"}, "never"),
        ({"type": "keyword", "name": "a"}, "keyword a"),
        (
            {
                "operator": "AND",
                "conditions": [
                    {"type": "keyword", "name": "a"},
                    {"operator": "NOT", "conditions": [{"type": "context", "name": "b"}]},
                    {
                        "operator": "OR",
                        "conditions": [{"type": "authz", "name": "c"}, {"type": "domain", "name": "d"}],
                    },
                ],
            },
            "keyword a AND NOT context b AND (authz c OR domain d)",
        ),
    ],
)
def test_rules_are_told_on_one_line(rule: dict[str, Any], told: str) -> None:
    assert rule_text(RuleNode.model_validate(rule)) == told

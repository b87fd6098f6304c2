from collections.abc import Mapping
from typing import Any

import pytest

from memrouter.config.check import FOREIGN_SIGNAL_TYPES, check_settings
from memrouter.config.findings import Finding
from memrouter.config.paths import dotted
from memrouter.config.settings import Settings

BACKEND = {"endpoint": "127.0.0.1:8000"}


def model(name: str, **backend: object) -> dict[str, object]:
    return {"name": name, "backend_refs": [backend or BACKEND]}


def findings(**data: Any) -> list[Finding]:
    return check_settings(Settings.model_validate(data))


def keys(**data: Any) -> list[str]:
    return [dotted(finding.path) for finding in findings(**data)]


def rules(*conditions: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"name": "d", "rules": {"operator": "OR", "conditions": list(conditions)}}]


def test_the_defaults_are_right() -> None:
    assert findings() == []


def test_names_are_unique_where_they_are_referred_to() -> None:
    keyword = {"name": "k", "keywords": ["x"]}
    assert keys(
        providers={"models": [model("a"), model("b"), model("a")]},
        routing={
            "signals": {"keywords": [keyword, keyword], "context": [{"name": "k"}]},
            "decisions": [{"name": "d"}, {"name": "d"}],
        },
    ) == ["providers.models[2].name", "routing.decisions[1].name", "routing.signals.keywords[1].name"]


def test_listeners_have_names_and_addresses_of_their_own() -> None:
    same = {"address": "127.0.0.1", "port": 80}
    assert keys(listeners=[{"name": "a", **same}, {"name": "a", "port": 81}, {"name": "c", **same}]) == [
        "listeners[1].name",
        "listeners[2].port",
    ]
    assert keys(listeners=[{"name": "a", "port": 0}, {"name": "b", "port": 0}, {"port": 1}, {"port": 2}]) == []


def test_model_names_that_nothing_has_are_found_with_the_nearest() -> None:
    default, reference = findings(
        providers={"models": [model("qwen3")], "defaults": {"default_model": "quen3"}},
        routing={"decisions": [{"name": "d", "modelRefs": [{"model": "qwen3"}, {"model": "qwen33"}]}]},
    )
    assert dotted(default.path) == "providers.defaults.default_model"
    assert dotted(reference.path) == "routing.decisions[0].modelRefs[1].model"
    assert default.hint == reference.hint == "Did you mean 'qwen3'?"


def test_without_models_any_model_name_goes() -> None:
    assert keys(routing={"decisions": [{"name": "d", "modelRefs": [{"model": "x"}]}]}) == []


def test_conditions_name_signals_of_their_type_at_any_depth() -> None:
    signals = {"keywords": [{"name": "k", "keywords": ["x"]}], "context": [{"name": "c"}]}
    nested = {"operator": "NOT", "conditions": [{"type": "keyword", "name": "c"}]}
    assert keys(routing={"signals": signals, "decisions": rules({"type": "context", "name": "c"}, nested)}) == [
        "routing.decisions[0].rules.conditions[1].conditions[0].name"
    ]


def test_authz_conditions_name_bindings_or_their_roles() -> None:
    bindings = [{"name": "b", "role": "admin", "subjects": [{"kind": "User", "name": "u"}]}]
    conditions = [{"type": "authz", "name": name} for name in ("b", "admin", "u")]
    assert keys(routing={"signals": {"role_bindings": bindings}, "decisions": rules(*conditions)}) == [
        "routing.decisions[0].rules.conditions[2].name"
    ]


def test_signals_of_the_go_router_are_errors_that_say_so() -> None:
    for kind in FOREIGN_SIGNAL_TYPES:
        (finding,) = findings(routing={"decisions": rules({"type": kind, "name": "x"})})
        assert "Go router" in finding.hint
    (finding,) = findings(routing={"decisions": rules({"type": "keywrd", "name": "x"})})
    assert finding.hint == "Did you mean 'keyword'?"


def test_a_band_does_not_end_before_it_starts() -> None:
    bands = [{"name": "a", "min_tokens": 5, "max_tokens": 5}, {"name": "b", "min_tokens": "1K", "max_tokens": 999}]
    assert keys(routing={"signals": {"context": bands}}) == ["routing.signals.context[1].max_tokens"]


@pytest.mark.parametrize("pattern", ["(", "[", "a{2,1}", "(?P<n>", "(" * 20_000, "a**", "\\p{nonsense}"])
def test_patterns_that_are_no_regular_expressions_are_found(pattern: str) -> None:
    memory_plugin = {"type": "memory", "configuration": {"reflection": {"block_patterns": [pattern]}}}
    assert keys(
        routing={
            "signals": {"keywords": [{"name": "k", "method": "regex", "keywords": ["fine", pattern]}]},
            "decisions": [{"name": "d", "plugins": [memory_plugin]}],
        },
        **{"global": {"stores": {"memory": {"reflection": {"block_patterns": [pattern]}}}}},
    ) == [
        "routing.signals.keywords[0].keywords[1]",
        "global.stores.memory.reflection.block_patterns[0]",
        "routing.decisions[0].plugins[0].configuration.reflection.block_patterns[0]",
    ]


def test_literal_keywords_may_look_like_broken_patterns() -> None:
    assert keys(routing={"signals": {"keywords": [{"name": "k", "keywords": [":-("]}]}}) == []


@pytest.mark.parametrize(
    ("backend", "key"),
    [
        ({"endpoint": "llm"}, "endpoint"),
        ({"base_url": "llm:8000/v1"}, "base_url"),
        ({**BACKEND, "chat_path": "chat"}, "chat_path"),
        ({**BACKEND, "auth_header": "a b"}, "auth_header"),
        ({**BACKEND, "auth_prefix": "a\n"}, "auth_prefix"),
        ({**BACKEND, "extra_headers": {"a": "b\r\nc"}}, "extra_headers.a"),
        ({**BACKEND, "extra_headers": {"a:": "b"}}, 'extra_headers."a:"'),
    ],
)
def test_backends_that_cannot_be_called_are_found(backend: dict[str, object], key: str) -> None:
    assert keys(providers={"models": [model("a", **backend)]}) == [f"providers.models[0].backend_refs[0].{key}"]


def test_names_of_removed_headers_and_identity_headers_are_checked() -> None:
    plugin = {"type": "header_mutation", "configuration": {"remove": ["ok", "not ok"], "delete": [""]}}
    assert keys(
        routing={"decisions": [{"name": "d", "plugins": [plugin]}]}, **{"global": {"auth": {"user_header": ""}}}
    ) == [
        "global.auth.user_header",
        "routing.decisions[0].plugins[0].configuration.remove[1]",
        "routing.decisions[0].plugins[0].configuration.delete[0]",
    ]


def test_trusted_proxies_are_networks() -> None:
    networks = ["10.0.0.0/8", "10.0.0.1/8", "::1", "proxy"]
    assert keys(**{"global": {"auth": {"trusted_proxies": networks}}}) == [
        "global.auth.trusted_proxies[1]",
        "global.auth.trusted_proxies[3]",
    ]


def test_embedding_models_are_ours_or_the_go_routers() -> None:
    for name in (
        "wordllama",
        "openai",
        "hash",
        "bert",
        "sentence-transformers",
        "mmbert",
        "qwen3",
        "gemma",
        "multimodal",
    ):
        assert keys(**{"global": {"stores": {"memory": {"embedding_model": name}}}}) == []
    (finding,) = findings(**{"global": {"stores": {"memory": {"embedding_model": "wordlama"}}}})
    assert finding.hint == "Did you mean 'wordllama'?"


def test_the_embedding_endpoint_is_a_url() -> None:
    endpoint = {"base_url": "localhost:8000"}
    assert keys(**{"global": {"stores": {"memory": {"embedding_endpoint": endpoint}}}}) == [
        "global.stores.memory.embedding_endpoint.base_url"
    ]


def test_the_address_of_a_cache_that_is_used_is_host_and_port() -> None:
    for address, enabled, expected in (
        ("valkey:6379", True, []),
        ("[::1]:6379", True, []),
        ("valkey", True, ["global.stores.memory.redis_cache.address"]),
        ("valkey", False, []),
    ):
        cache = {"enabled": enabled, "address": address}
        assert keys(**{"global": {"stores": {"memory": {"redis_cache": cache}}}}) == expected


def test_names_for_the_routers_choice_are_no_models() -> None:
    router = {"auto_model_name": "Pick", "auto_model_names": ["auto", "MoM"]}
    data = {"providers": {"models": [model("AUTO"), model("pick")]}, "global": {"router": router}}
    assert keys(**data) == ["global.router.auto_model_name", "global.router.auto_model_names[0]"]

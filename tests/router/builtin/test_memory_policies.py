"""Which settings hold for a request, and when memory must keep out of it."""

from typing import Any

import pytest

from memrouter.config.settings import Settings
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms
from memrouter.models.memory import MemoryRecord
from memrouter.models.turn import MemoryOutcome, MemoryStatus, ModelChoice, Turn
from memrouter.router.builtin.memory_policies import RoutePolicies, any_enabled
from memrouter.testing.turns import chat_turn


class Words:
    """Weighs a memory by its words."""

    def at_most(self, record: MemoryRecord) -> int:
        return self.count(record)

    def count(self, record: MemoryRecord) -> int:
        return len(record.content.split())


def configured(memory: dict[str, Any], *decisions: dict[str, Any]) -> Settings:
    return Settings.model_validate(
        {"routing": {"decisions": list(decisions)}, "global": {"stores": {"memory": memory}}}
    )


def policies(memory: dict[str, Any], *decisions: dict[str, Any]) -> RoutePolicies:
    settings = configured(memory, *decisions)
    return RoutePolicies(
        settings.memory,
        settings.routing.decisions,
        default_threshold=0.61,
        algorithms=ReflectionAlgorithms(),
        weigher=Words(),
    )


def takes_part(memory: dict[str, Any], *decisions: dict[str, Any]) -> bool:
    settings = configured(memory, *decisions)
    return any_enabled(settings.memory, settings.routing.decisions)


def route(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "plugins": [{"type": "memory", "configuration": configuration}]}


def asked(*, decision: str = "", headers: dict[str, str] | None = None, model: str = "m") -> Turn:
    turn = chat_turn("hello", decision=decision)
    turn.headers = headers or {}
    turn.model = ModelChoice(model, model)
    return turn


def test_a_route_without_settings_of_its_own_has_the_global_ones() -> None:
    policy = policies({"default_retrieval_limit": 7, "default_similarity_threshold": 0.5}).of(asked()).policy
    assert (policy.enabled, policy.recall.limit, policy.recall.threshold) == (True, 7, 0.5)


def test_the_embedder_s_threshold_holds_where_nothing_is_configured() -> None:
    assert policies({}).of(asked()).policy.recall.threshold == 0.61


def test_a_threshold_of_zero_is_a_threshold() -> None:
    assert policies({}, route("r", similarity_threshold=0)).of(asked(decision="r")).policy.recall.threshold == 0


def test_what_a_route_names_wins_and_the_rest_stays_global() -> None:
    own = route("r", retrieval_limit=2, hybrid_mode="rrf", auto_store=False, reflection={"max_inject_tokens": 9})
    policy = policies({"default_similarity_threshold": 0.5, "reflection": {"dedup_threshold": 0.8}}, own)
    found = policy.of(asked(decision="r")).policy
    assert (found.recall.limit, found.recall.mode, found.auto_store, found.recall.threshold) == (2, "rrf", False, 0.5)
    assert (found.reflection.max_inject_tokens, found.reflection.dedup_threshold) == (9, 0.8)


def test_a_route_can_have_memory_where_it_is_off_for_the_rest() -> None:
    routes = (route("with", enabled=True), route("silent", retrieval_limit=3))
    mixed = policies({"enabled": False}, *routes)
    assert takes_part({"enabled": False}, *routes)
    assert mixed.refusal(asked(decision="with")) is None
    assert mixed.refusal(asked()) == MemoryOutcome(MemoryStatus.DISABLED, "configuration")
    assert mixed.refusal(asked(decision="silent")) == MemoryOutcome(MemoryStatus.DISABLED, "configuration")
    assert not takes_part({"enabled": False})


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (asked(headers={"x-disable-router-memory": "true"}), "opt_out"),
        (asked(headers={"x-disable-router-memory": " TRUE "}), "opt_out"),
        (asked(decision="secret"), "route"),
        (asked(model="plain"), "model"),
    ],
)
def test_memory_keeps_out_where_caller_route_or_model_say_so(turn: Turn, reason: str) -> None:
    limits = policies({"disabled_routes": ["secret"], "disabled_models": ["plain"]}, route("secret"))
    assert limits.refusal(turn) == MemoryOutcome(MemoryStatus.POLICY_BLOCKED, reason)


def test_a_request_path_can_be_a_disabled_route() -> None:
    limits = policies({"disabled_routes": ["/v1/chat/completions"]})
    assert limits.refusal(asked()) == MemoryOutcome(MemoryStatus.POLICY_BLOCKED, "route")


@pytest.mark.parametrize("value", ["false", "1", ""])
def test_any_other_word_is_no_opt_out(value: str) -> None:
    assert policies({}).refusal(asked(headers={"x-disable-router-memory": value})) is None

"""A route changes the headers of the upstream request, but not those that carry the message."""

import pytest

from memrouter.config.routing import DecisionSettings, HeaderMutationSettings
from memrouter.errors import ConfigError
from memrouter.router.builtin.header_mutation import HeaderMutation
from memrouter.testing.turns import chat_turn

BEFORE = {"x-a": "1", "x-b": "2"}


def pair(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


async def after(settings: dict[str, object], *, decision: str = "route") -> dict[str, str]:
    turn = chat_turn(decision=decision)
    turn.upstream_headers.update(BEFORE)
    await HeaderMutation({"route": HeaderMutationSettings.model_validate(settings)}).before_upstream(turn)
    return turn.upstream_headers


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, BEFORE),
        ({"set": [pair("X-A", "9"), pair("X-New", "n")]}, {"x-a": "9", "x-b": "2", "x-new": "n"}),
        ({"update": [pair("X-A", "9")]}, {"x-a": "9", "x-b": "2"}),
        ({"add": [pair("X-A", "9"), pair("X-New", "n")]}, {"x-a": "1", "x-b": "2", "x-new": "n"}),
        ({"remove": ["X-A", "x-absent"]}, {"x-b": "2"}),
        ({"delete": ["X-B"]}, {"x-a": "1"}),
        ({"remove": ["x-a"], "add": [pair("x-a", "fresh")]}, {"x-a": "fresh", "x-b": "2"}),
        ({"remove": ["x-a"], "set": [pair("x-a", "fresh")]}, {"x-a": "fresh", "x-b": "2"}),
        ({"add": [pair("x-new", "added")], "set": [pair("x-new", "set")]}, {**BEFORE, "x-new": "set"}),
    ],
)
async def test_headers_are_removed_then_added_then_set(settings: dict[str, object], expected: dict[str, str]) -> None:
    assert await after(settings) == expected


async def test_other_routes_keep_their_headers() -> None:
    assert await after({"remove": ["x-a"]}, decision="other") == BEFORE


@pytest.mark.parametrize("header", ["Host", "content-length", "Transfer-Encoding", "connection", "TE", "upgrade"])
@pytest.mark.parametrize("word", ["set", "add", "update", "remove", "delete"])
def test_headers_that_carry_the_message_are_refused(header: str, word: str) -> None:
    item: object = header if word in {"remove", "delete"} else pair(header, "x")
    settings = HeaderMutationSettings.model_validate({word: [item]})
    with pytest.raises(ConfigError, match=f"route.*{header}"):
        HeaderMutation({"route": settings})


def test_all_refused_headers_are_named_at_once() -> None:
    settings = HeaderMutationSettings(remove=("host", "x-fine"), delete=("te",))
    with pytest.raises(ConfigError) as caught:
        HeaderMutation({"one": settings, "two": settings})
    assert [(problem.key.split(".")[2], problem.found) for problem in caught.value.problems] == [
        ("one", "host"),
        ("one", "te"),
        ("two", "host"),
        ("two", "te"),
    ]


async def test_decisions_bring_their_own_settings() -> None:
    decisions = [
        DecisionSettings.model_validate(
            {"name": name, "plugins": [{"type": "header_mutation", "configuration": {"set": [pair("X-Route", name)]}}]}
        )
        for name in ("one", "two")
    ]
    turn = chat_turn(decision="two")
    await HeaderMutation.from_decisions([*decisions, DecisionSettings(name="three")]).before_upstream(turn)
    assert turn.upstream_headers == {"x-route": "two"}

"""What every way in gets from identity, without the rest of a router."""

from typing import Any

import pytest
from starlette.requests import HTTPConnection

from memrouter.api.caller import Access
from memrouter.api.identity.factory import open_authenticator
from memrouter.api.limits import CallerLimits
from memrouter.config.auth import AuthSettings
from memrouter.config.limits import LimitSettings
from memrouter.errors import Forbidden, InvalidRequest, RateLimited, Unauthenticated
from memrouter.models.memory import Scope
from memrouter.models.turn import Identity, Permission
from memrouter.observability.metrics import Metrics
from memrouter.testing.clock import ManualClock

ALICE = {"x-authz-user-id": "alice"}


def connection(
    headers: dict[str, str] | None = None, client: tuple[str, int] | None = ("127.0.0.1", 1)
) -> HTTPConnection:
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return HTTPConnection({"type": "http", "headers": raw, "client": client, "path": "/", "method": "GET"})


def access_to(clock: ManualClock, *, limits: dict[str, Any] | None = None, **auth: Any) -> Access:
    settings = AuthSettings(**auth)
    return Access(
        open_authenticator(settings, state=None, clock=clock),
        settings=settings,
        limits=CallerLimits(LimitSettings.model_validate(limits or {}), metrics=Metrics(), clock=clock),
    )


async def test_a_known_caller_is_admitted_and_has_memories(access: Access) -> None:
    assert await access.admit(connection(ALICE), Permission.CHAT) == Identity("alice")
    assert await access.own_scope(connection(ALICE)) == Scope("alice")


async def test_nobody_is_admitted_to_models_and_has_no_memories(access: Access) -> None:
    assert await access.admit(connection(), Permission.CHAT) == Identity()
    await access.admit_to_models(connection())
    with pytest.raises(Unauthenticated) as caught:
        await access.own_scope(connection())
    assert caught.value.param == "x-authz-user-id"
    assert caught.value.challenge == 'Trusted-Header name="x-authz-user-id"'


async def test_only_members_of_operator_groups_are_operators(clock: ManualClock) -> None:
    access = access_to(clock, operator_groups=("ops",), protect_metrics=True)
    await access.admit_to_metrics(connection({**ALICE, "x-authz-user-groups": "staff, ops"}))
    for headers in ({}, ALICE, {**ALICE, "x-authz-user-groups": "Ops,ops2"}):
        with pytest.raises(Forbidden, match="operator"):
            await access.admit_to_metrics(connection(headers))
    with pytest.raises(Forbidden):
        await access.admit_to_metrics(connection({**ALICE, "x-authz-user-groups": "ops"}, ("192.0.2.1", 1)))


async def test_metrics_are_open_unless_protected(access: Access) -> None:
    await access.admit_to_metrics(connection())


async def test_a_body_names_a_user_in_development_and_where_nothing_else_does(clock: ManualClock) -> None:
    closed, opened = access_to(clock), access_to(clock, trust_body_user=True)
    assert closed.named_in_body(Identity(), "alice") == Identity()
    assert opened.named_in_body(Identity(), "alice") == Identity("alice")
    assert opened.named_in_body(Identity("bob"), "alice") == Identity("bob")
    assert [opened.named_in_body(Identity(), name) for name in (None, "")] == [Identity(), Identity()]
    with pytest.raises(InvalidRequest):
        opened.named_in_body(Identity(), "a\x00")
    await closed.check()
    with pytest.raises(InvalidRequest, match="UNSAFE"):
        await opened.check()


async def test_callers_who_fail_to_prove_themselves_are_limited_by_address_and_harm_nobody(clock: ManualClock) -> None:
    access = access_to(clock, limits={"requests_per_minute": 1}, mode="jwt", jwt=JWT)
    wrong = {"authorization": "Bearer wrong"}
    with pytest.raises(Unauthenticated):
        await access.admit(connection(wrong, ("192.0.2.1", 1)), Permission.CHAT)
    with pytest.raises(RateLimited):
        await access.admit(connection(wrong, ("192.0.2.1", 2)), Permission.CHAT)
    with pytest.raises(Unauthenticated):
        await access.admit(connection(wrong, ("192.0.2.2", 1)), Permission.CHAT)


async def test_users_behind_one_address_are_limited_each_for_itself(clock: ManualClock) -> None:
    access = access_to(clock, limits={"requests_per_minute": 1})
    for user in ("alice", "bob"):
        await access.admit(connection({"x-authz-user-id": user}), Permission.CHAT)
        with pytest.raises(RateLimited):
            await access.own_scope(connection({"x-authz-user-id": user, "x-authz-project-id": "other"}))


async def test_the_body_is_charged_to_whoever_was_admitted(clock: ManualClock) -> None:
    access = access_to(clock, limits={"body_bytes_per_minute": 10})
    admitted = connection(ALICE)
    await access.admit(admitted, Permission.CHAT)
    admitted.scope["state"]["charge"](11)
    with pytest.raises(RateLimited):
        await access.admit(connection(ALICE), Permission.CHAT)
    await access.admit(connection(), Permission.CHAT)


JWT = {"issuer": "i", "audience": ("a",), "secret": "s" * 32, "algorithms": ("HS256",)}


@pytest.mark.parametrize(
    ("auth", "schemes"),
    [
        ({}, [("user", "apiKey", "x-authz-user-id")]),
        ({"user_header": "X-User"}, [("user", "apiKey", "x-user")]),
        (
            {"mode": "api_key", "api_keys": "file"},
            [("api_key", "http", None), ("api_key_header", "apiKey", "x-api-key")],
        ),
        ({"mode": "jwt", "jwt": JWT}, [("jwt", "http", None)]),
    ],
    ids=["trusted_header", "own_header", "api_key", "jwt"],
)
def test_the_description_names_the_schemes_of_the_mode(
    clock: ManualClock, tmp_path: Any, auth: dict[str, Any], schemes: list[tuple[str, str, str | None]]
) -> None:
    if auth.get("api_keys"):
        file = tmp_path / "keys.json"
        file.write_text('{"keys": []}')
        file.chmod(0o600)
        auth = {**auth, "api_keys": {"file": str(file)}}
    found = [dependency.dependency for dependency in access_to(clock, **auth).security()]
    described = [(each.scheme_name, each.model.type_.value, getattr(each.model, "name", None)) for each in found]
    assert described == schemes

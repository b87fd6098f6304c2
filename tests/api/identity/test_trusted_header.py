"""Who is believed, and what can be an identity."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.identity.authenticator import NOBODY
from memrouter.api.identity.trusted_header import TrustedHeaderAuthenticator
from memrouter.config.auth import AuthSettings
from memrouter.errors import InvalidRequest
from memrouter.models.turn import Identity
from memrouter.testing.clock import ManualClock

LOCAL = ("127.0.0.1", 5000)
USER = b"x-authz-user-id"
PROJECT = b"x-authz-project-id"
GROUPS = b"x-authz-user-groups"


def authenticator(*proxies: str, clock: ManualClock | None = None) -> TrustedHeaderAuthenticator:
    settings = AuthSettings(trusted_proxies=proxies) if proxies else AuthSettings()
    return TrustedHeaderAuthenticator(settings, clock=clock or ManualClock())


async def test_a_trusted_proxy_names_user_project_and_groups() -> None:
    headers = [(USER, b"alice"), (PROJECT, b"work"), (GROUPS, b" admins , staff,,"), (b"accept", b"*/*")]
    expected = Identity(user_id="alice", project_id="work", groups=("admins", "staff"))
    assert await authenticator().identify(headers, LOCAL) == expected


@pytest.mark.parametrize("client", [("127.0.0.1", 1), ("127.9.9.9", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])
async def test_loopback_is_trusted_by_default(client: tuple[str, int]) -> None:
    assert (await authenticator().identify([(USER, b"alice")], client)).user_id == "alice"


@pytest.mark.parametrize(
    "client", [None, ("10.0.0.1", 1), ("::2", 1), ("::ffff:10.0.0.1", 1), ("testclient", 1), ("", 0), ("127.0.0.1 ", 1)]
)
async def test_headers_from_elsewhere_are_ignored(client: tuple[str, int] | None) -> None:
    # Even what would be refused from a trusted party.
    headers = [(USER, b"alice"), (USER, b"\xff"), (PROJECT, b"x" * 300)]
    assert await authenticator().identify(headers, client) == NOBODY


async def test_a_configured_network_is_trusted_and_loopback_no_more() -> None:
    proxied = authenticator("10.1.0.0/16", "2001:db8::7")
    assert (await proxied.identify([(USER, b"alice")], ("10.1.2.3", 1))).user_id == "alice"
    assert (await proxied.identify([(USER, b"alice")], ("2001:db8::7", 1))).user_id == "alice"
    assert await proxied.identify([(USER, b"alice")], LOCAL) == NOBODY


async def test_header_names_follow_the_configuration_in_any_case() -> None:
    settings = AuthSettings(user_header="X-Forwarded-User")
    identity = await TrustedHeaderAuthenticator(settings, clock=ManualClock()).identify(
        [(b"x-forwarded-user", b"alice"), (USER, b"mallory")], LOCAL
    )
    assert identity.user_id == "alice"


async def test_a_caller_without_identity_headers_is_nobody() -> None:
    assert await authenticator().identify([], LOCAL) == NOBODY
    assert await authenticator().identify([(USER, b""), (GROUPS, b"")], LOCAL) == NOBODY


@pytest.mark.parametrize("header", [USER, PROJECT, GROUPS])
@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b"a\x00b", b"a\nb", b"a" * 257, "\u0085".encode(), "é".encode("latin-1")]
)
async def test_an_impossible_identity_is_refused_by_header(header: bytes, value: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await authenticator().identify([(header, value)], LOCAL)
    assert caught.value.param == header.decode()
    assert "a" * 257 not in str(caught.value)


@pytest.mark.parametrize("header", [USER, PROJECT, GROUPS])
async def test_a_header_given_twice_is_refused(header: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await authenticator().identify([(header, b"a"), (header, b"a")], LOCAL)
    assert caught.value.code == "duplicate_header"
    assert caught.value.param == header.decode()


@pytest.mark.parametrize(
    "user", ["*", "a|b", "a,b", "User", "user", "'\"", "{x}", "ünï 🐈", "\u00e9", "e\u0301", "a" * 256]
)
async def test_a_user_is_taken_letter_by_letter(user: str) -> None:
    assert (await authenticator().identify([(USER, user.encode())], LOCAL)).user_id == user


@given(st.binary(max_size=400))
async def test_any_bytes_are_an_identity_or_an_invalid_request(value: bytes) -> None:
    try:
        identity = await authenticator().identify([(USER, value)], LOCAL)
    except InvalidRequest:
        return
    assert (identity.user_id or "") == value.strip(b" \t").decode()


async def test_ignored_headers_are_warned_of_once_a_minute_without_their_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    proxied = authenticator(clock=clock)

    async def warned() -> int:
        with caplog.at_level(logging.WARNING):
            await proxied.identify([(USER, b"alice")], ("10.0.0.1", 1))
        return len(caplog.records)

    assert [await warned(), await warned()] == [1, 1]
    clock.ms += 59_999
    assert await warned() == 1
    clock.ms += 1
    assert await warned() == 2
    assert "alice" not in caplog.text


def test_a_network_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        authenticator("nonsense")

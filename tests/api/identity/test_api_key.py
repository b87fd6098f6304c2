"""What an API key is, and what cannot be one."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.identity.api_key import ApiKey, hash_secret, new_secret, read_key, write_key

GOOD: dict[str, Any] = {"id": "abcdefgh2345", "sha256": "0" * 64, "created": datetime(2026, 1, 1, tzinfo=UTC)}


@given(st.integers())
def test_a_key_that_is_written_is_read_again_and_proves_itself_alone(seed: int) -> None:
    key_id, secret = new_secret(Random(seed))
    assert read_key(write_key(key_id, secret)) == (key_id, secret)
    assert len(bytes.fromhex(secret)) == 32
    key = ApiKey(**{**GOOD, "id": key_id, "sha256": hash_secret(secret)}, user="alice")
    assert key.proves(secret)
    assert not key.proves(secret[:-1] + ("0" if secret[-1] != "0" else "1"))
    assert secret not in repr(key)
    assert secret not in msgspec.json.encode(key).decode()


@given(st.text(max_size=120) | st.from_regex(r"mr_[a-z2-7]{11,13}_[0-9a-f]{63,65}", fullmatch=True))
def test_what_is_read_as_a_key_is_written_like_that(text: str) -> None:
    found = read_key(text)
    assert found is None or write_key(*found) == text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user": "alice", "service": True},
        {"user": ""},
        {"user": "a" * 257},
        {"user": "a\nb"},
        {"user": "alice", "acts_for": ("bob",)},
        {"service": True, "project": "work"},
        {"service": True, "groups": ("staff",)},
        {"service": True, "acts_for": ("",)},
        {"user": "alice", "project": ""},
        {"user": "alice", "groups": ("a\x00",)},
        {"user": "alice", "name": "a\x1b[2J"},
        {"user": "alice", "name": "n" * 101},
        {"user": "alice", "scopes": ()},
        {"user": "alice", "id": "../../etc"},
        {"user": "alice", "sha256": "0" * 63},
    ],
)
def test_a_key_that_cannot_be_right_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ApiKey(**{**GOOD, **fields})


def test_a_key_expires_at_its_moment() -> None:
    expires = GOOD["created"] + timedelta(days=1)
    key = ApiKey(**GOOD, user="alice", expires=expires)
    moment = round(expires.timestamp() * 1000)
    assert [key.has_expired(now) for now in (moment - 1, moment, moment + 1)] == [False, True, True]
    assert not ApiKey(**GOOD, user="alice").has_expired(2**60)


@pytest.mark.parametrize(
    ("acts_for", "user", "may"),
    [
        ((), "anybody", True),
        (("alice",), "alice", True),
        (("alice",), "alice2", False),
        (("alice",), "Alice", False),
        (("a*",), "a", True),
        (("a*", "bob"), "bob", True),
        (("a.*",), "ab", False),
        (("*",), "anybody", True),
        (("a*b",), "axb", False),
    ],
)
def test_a_service_acts_for_whole_names_and_beginnings(acts_for: tuple[str, ...], user: str, may: bool) -> None:
    assert ApiKey(**GOOD, service=True, acts_for=acts_for).may_act_for(user) is may

"""A file and the store keep keys alike."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memrouter.api.identity.api_key import ApiKey, hash_secret, new_secret
from memrouter.api.identity.key_file import KeyFile
from memrouter.api.identity.key_keeper import KeyKeeper
from memrouter.api.identity.key_state import KEYS, KeyState
from memrouter.errors import ConfigError, SchemaMismatch
from memrouter.models.turn import Permission
from memrouter.stores.base import MemoryStore
from memrouter.testing.clock import ManualClock

RNG = Random(3)
ODD_USERS = (
    "1e5",
    "0o17",
    "true",
    "null",
    "~",
    "a: b",
    "- a",
    "'\"",
    "ünï 🐈",
    "a\u2028b",
    "#x",
    "{a}",
    "&a",
    "x" * 256,
)


def new_key(day: int = 1, **fields: Any) -> ApiKey:
    key_id, secret = new_secret(RNG)
    owner = {} if fields.get("service") else {"user": "alice"}
    created = datetime(2026, 1, day, 12, 30, tzinfo=UTC)
    return ApiKey(**{"id": key_id, "sha256": hash_secret(secret), "created": created, **owner, **fields})


@pytest.fixture(params=["yaml", "json", "store"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path, store: MemoryStore, clock: ManualClock) -> KeyKeeper:
    return KeyState(store.state, clock=clock) if request.param == "store" else KeyFile(tmp_path / f"k.{request.param}")


async def test_every_field_of_a_key_comes_back(keeper: KeyKeeper) -> None:
    full = new_key(
        project="work",
        groups=("staff", "a,b"),
        name="Ann's laptop",
        expires=datetime(2027, 1, 1, tzinfo=UTC),
        scopes=(Permission.OPERATOR,),
    )
    service = new_key(service=True, acts_for=("team-*", "bob"))
    for key in (full, service):
        await keeper.add(key)
    assert [await keeper.get(key.id) for key in (full, service)] == [full, service]
    assert await keeper.get("a" * 12) is None


async def test_users_of_any_spelling_come_back(keeper: KeyKeeper) -> None:
    keys = [new_key(user=user) for user in ODD_USERS]
    for key in keys:
        await keeper.add(key)
    found = [await keeper.get(key.id) for key in keys]
    assert [key.user for key in found if key] == list(ODD_USERS)


async def test_keys_are_listed_oldest_first(keeper: KeyKeeper) -> None:
    keys = [new_key(day) for day in (3, 1, 2)]
    for key in keys:
        await keeper.add(key)
    assert [kept.key.created.day for kept in await keeper.all()] == [1, 2, 3]


async def test_a_removed_key_is_gone(keeper: KeyKeeper) -> None:
    key, other = new_key(), new_key()
    for each in (key, other):
        await keeper.add(each)
    assert [await keeper.remove(key.id), await keeper.remove(key.id)] == [True, False]
    assert (await keeper.get(key.id), await keeper.get(other.id)) == (None, other)


async def test_the_store_knows_when_a_key_was_used(store: MemoryStore, clock: ManualClock) -> None:
    keeper, key = KeyState(store.state, clock=clock), new_key()
    await keeper.add(key)
    assert [kept.last_used for kept in await keeper.all()] == [None]
    await keeper.note_use(key.id)
    assert [kept.last_used for kept in await keeper.all()] == [clock.now_ms()]
    await keeper.remove(key.id)
    assert await keeper.all() == []


async def test_a_key_of_another_version_in_the_store_is_said_so(store: MemoryStore, clock: ManualClock) -> None:
    await store.state.put(KEYS, "a" * 12, b'{"id": 1, "secret": "x"}', now=clock.now_ms())
    with pytest.raises(SchemaMismatch, match="revoke it"):
        await KeyState(store.state, clock=clock).get("a" * 12)


async def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    await KeyFile(path).add(new_key())
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o400, 0o440):
        path.chmod(mode)
        assert len(KeyFile(path).load()) == 1
    for mode in (0o644, 0o660, 0o602, 0o610):
        path.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            KeyFile(path).load()


async def test_two_who_change_a_key_file_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    keys = [new_key() for _ in range(12)]
    await asyncio.gather(*(KeyFile(path).add(key) for key in keys))
    assert set(KeyFile(path).load()) == {key.id for key in keys}
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


async def test_a_changed_key_file_is_read_anew_and_a_faulty_one_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.yaml"
    first, second = new_key(), new_key()
    await KeyFile(path).add(first)
    reader = KeyFile(path)
    assert await reader.get(first.id) == first
    await KeyFile(path).add(second)
    assert await reader.get(second.id) == second
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    assert await reader.get(second.id) == second
    assert "stay in force" in caplog.text
    path.unlink()
    assert await reader.get(second.id) == second
    await KeyFile(path).add(first)
    assert await reader.get(second.id) is None


@pytest.mark.parametrize(
    "text",
    [
        "keys: 3",
        "keys: [{id: abcdefgh2345}]",
        "keys: [x]",
        "- a",
        "keys: [{id: abcdefgh2345, sha256: '" + "0" * 64 + "', created: 2026-01-01T00:00:00, user: a}]",
        "keys: [{id: abcdefgh2345, sha256: '" + "0" * 64 + "', created: 2026-01-01T00:00:00Z, user: 5}]",
        "keys: [{id: abcdefgh2345, sha256: '" + "0" * 64 + "', created: 2026-01-01T00:00:00Z, user: a, owner: b}]",
        "keys: []\nkeys: []",
        "keys: [",
        "\0",
    ],
)
def test_a_file_that_is_no_list_of_keys_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"keys\.yaml"):
        KeyFile(path).load()


async def test_an_id_that_two_keys_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    await KeyFile(path).add(new_key())
    entry = path.read_text().removeprefix('{"keys":[').removesuffix("]}")
    path.write_text(f'{{"keys":[{entry},{entry}]}}')
    with pytest.raises(ConfigError, match="two keys"):
        KeyFile(path).load()


def test_a_missing_key_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="memrouter keys create"):
        KeyFile(tmp_path / "keys.yaml").load()


def test_a_pipe_is_no_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    os.mkfifo(path, 0o600)
    writer = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(ConfigError, match="no regular file"):
            KeyFile(path).load()
    finally:
        os.close(writer)

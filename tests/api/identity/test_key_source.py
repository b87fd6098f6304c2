"""Verification keys that are fetched: when, how often, and what happens while they cannot be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.api.identity.key_source import MAX_BYTES, LoadedKeys, from_file, from_url, open_keys
from memrouter.config.auth import JwtSettings
from memrouter.errors import ConfigError, Overloaded
from memrouter.testing.clock import ManualClock

from .issuer import Issuer, jwk, jwks, pem, rsa_key, running_issuer

OLD, NEW = rsa_key(), rsa_key()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer(jwks(jwk(OLD, "old"))) as running:
        yield running


@pytest.fixture
async def source(issuer: Issuer, clock: ManualClock) -> AsyncIterator[LoadedKeys]:
    keys = LoadedKeys(from_url(issuer.url), algorithms=("RS256",), refresh=3600, clock=clock)
    yield keys
    await keys.aclose()


async def known(source: LoadedKeys, kid: str) -> bool:
    return bool(await source.find(kid, "RS256"))


async def settled(source: LoadedKeys) -> None:
    """Wait for what runs in the background."""
    if source._loading is not None:
        await source._loading


async def test_keys_are_fetched_once_however_many_ask(source: LoadedKeys, issuer: Issuer) -> None:
    assert all(await asyncio.gather(*(known(source, "old") for _ in range(20))))
    assert issuer.fetched == 1
    assert await known(source, "old")
    assert issuer.fetched == 1


async def test_an_unknown_key_id_has_them_fetched_but_not_often(
    source: LoadedKeys, issuer: Issuer, clock: ManualClock
) -> None:
    assert await known(source, "old")
    issuer.body = jwks(jwk(NEW, "new"))
    assert not await known(source, "new"), "too soon after the last time"
    clock.ms += 10_000
    assert await known(source, "new")
    assert not await known(source, "old")
    for number in range(50):
        assert not await known(source, f"made-up-{number}")
    assert issuer.fetched == 2


async def test_old_keys_serve_while_new_ones_are_fetched(
    source: LoadedKeys, issuer: Issuer, clock: ManualClock
) -> None:
    assert await known(source, "old")
    issuer.body = jwks(jwk(OLD, "old"), jwk(NEW, "new"))
    clock.ms += 3_600_000
    assert await known(source, "old")
    await settled(source)
    assert issuer.fetched == 2
    assert await known(source, "new")


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason"),
    [
        (503, b"", {}, "status 503"),
        (302, b"", {"location": "/elsewhere"}, "status 302"),
        (200, b"<html>", {}, "neither PEM nor"),
        (200, b'{"keys": []}', {}, "no public key"),
        (200, b" " * (MAX_BYTES + 1), {}, "KiB"),
    ],
)
async def test_known_keys_stay_while_the_issuer_fails(
    source: LoadedKeys,
    issuer: Issuer,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    status: int,
    body: bytes,
    headers: dict[str, str],
    reason: str,
) -> None:
    assert await known(source, "old")
    good, issuer.status, issuer.body, issuer.headers = issuer.body, status, body, headers
    clock.ms += 4_000_000
    assert await known(source, "old")
    await settled(source)
    assert await known(source, "old")
    assert reason in caplog.text
    with pytest.raises(Overloaded, match="stay in use"):
        await source.check()
    issuer.status, issuer.body, issuer.headers = 200, good, {}
    clock.ms += 10_000
    await known(source, "old")
    await settled(source)
    await source.check()


async def test_without_any_keys_callers_are_told_to_come_again(
    source: LoadedKeys, issuer: Issuer, clock: ManualClock
) -> None:
    issuer.status = 500
    for _ in range(5):
        with pytest.raises(Overloaded):
            await known(source, "old")
    assert issuer.fetched == 1
    issuer.status = 200
    clock.ms += 10_000
    assert await known(source, "old")


async def test_an_issuer_that_is_not_there_is_said_without_its_address(clock: ManualClock) -> None:
    source = LoadedKeys(from_url("http://127.0.0.1:9/jwks"), algorithms=("RS256",), refresh=60, clock=clock)
    with pytest.raises(Overloaded) as caught:
        await source.check()
    assert "cannot be asked" in str(caught.value)


async def test_closing_ends_a_fetch_that_hangs(clock: ManualClock) -> None:
    begun = asyncio.Event()

    async def hang() -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    source = LoadedKeys(hang, algorithms=("RS256",), refresh=60, clock=clock)
    asking = asyncio.create_task(source.find("a", "RS256"))
    await begun.wait()
    await source.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_key_file_is_read_anew_for_an_unknown_key(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(jwks(jwk(OLD, "old")))
    source = open_keys(JwtSettings(key_file=str(path)), clock=clock)
    assert await source.find("old", "RS256")
    path.write_bytes(jwks(jwk(NEW, "new")))
    clock.ms += 10_000
    assert await source.find("new", "RS256")
    path.unlink()
    assert await source.find("new", "RS256")
    with pytest.raises(OSError, match="cannot be read"):
        await from_file(path)()


@pytest.mark.parametrize(
    "body", [None, b"", b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", pem(OLD)[:200]]
)
def test_a_key_file_without_keys_ends_the_start(tmp_path: Path, clock: ManualClock, body: bytes | None) -> None:
    path = tmp_path / "key.pem"
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(ConfigError, match=r"jwt\.key_file"):
        open_keys(JwtSettings(key_file=str(path)), clock=clock)

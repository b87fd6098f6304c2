"""Answers on a real server: bounded in number and time, and never put back after a drop."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from glide import GlideClient, GlideClientConfiguration, NodeAddress

from memrouter.config.memory import RedisCacheSettings
from memrouter.errors import StoreUnavailable
from memrouter.stores.cache_server import MAX_ANSWERS, ValkeyCacheServer
from memrouter.testing.valkey import ValkeyServer

FIELD = "f" * 64


def settings(server: ValkeyServer, **changes: object) -> RedisCacheSettings:
    return RedisCacheSettings.model_validate({"address": f"127.0.0.1:{server.port}"} | changes)


async def connected(server: ValkeyServer) -> GlideClient:
    return await GlideClient.create(GlideClientConfiguration([NodeAddress("127.0.0.1", server.port)]))


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}:{{owner}}"


@pytest.fixture
async def server(shared_server: ValkeyServer) -> AsyncIterator[ValkeyCacheServer]:
    opened = await ValkeyCacheServer.open(settings(shared_server, ttl_seconds=100))
    yield opened
    await opened.aclose()


@pytest.fixture
async def raw(shared_server: ValkeyServer) -> AsyncIterator[GlideClient]:
    client = await connected(shared_server)
    yield client
    await client.close()


async def test_what_was_written_is_read(server: ValkeyCacheServer, key: str) -> None:
    slot = await server.read(key, FIELD)
    assert (slot.epoch, slot.value) == (b"", None)
    await server.write(key, FIELD, b"\x00\xff", epoch=slot.epoch)
    assert (await server.read(key, FIELD)).value == b"\x00\xff"
    assert (await server.read(key, "e" * 64)).value is None


async def test_a_drop_takes_everything_of_the_key(server: ValkeyCacheServer, raw: GlideClient, key: str) -> None:
    for field in (FIELD, "e" * 64):
        await server.write(key, field, b"old", epoch=b"")
    await server.drop(key)
    assert (await server.read(key, FIELD)).value is None
    assert set(await raw.hgetall(key)) == {b"epoch"}


async def test_a_read_that_began_before_a_drop_cannot_write(server: ValkeyCacheServer, key: str) -> None:
    for _ in range(3):
        slot = await server.read(key, FIELD)
        await server.drop(key)
        await server.write(key, FIELD, b"old", epoch=slot.epoch)
        assert (await server.read(key, FIELD)).value is None
    slot = await server.read(key, FIELD)
    await server.write(key, FIELD, b"new", epoch=slot.epoch)
    assert (await server.read(key, FIELD)).value == b"new"


async def test_the_time_to_live_runs_from_the_first_answer(
    server: ValkeyCacheServer, raw: GlideClient, key: str
) -> None:
    await server.write(key, FIELD, b"first", epoch=b"")
    assert 0 < await raw.pttl(key) <= 100_000
    await raw.pexpire(key, 50_000)
    await server.write(key, "e" * 64, b"second", epoch=b"")
    assert 0 < await raw.pttl(key) <= 50_000
    await server.drop(key)
    assert 50_000 < await raw.pttl(key) <= 100_000


async def test_an_answer_past_its_time_is_gone(shared_server: ValkeyServer, raw: GlideClient, key: str) -> None:
    server = await ValkeyCacheServer.open(settings(shared_server, ttl_seconds=1))
    await server.write(key, FIELD, b"old", epoch=b"")
    assert await raw.pexpire(key, 0), "it had not expired yet"
    assert (await server.read(key, FIELD)).value is None
    await server.aclose()


async def test_an_owner_has_a_bounded_number_of_answers(server: ValkeyCacheServer, raw: GlideClient, key: str) -> None:
    await server.drop(key)
    epoch = (await server.read(key, FIELD)).epoch
    for number in range(3 * MAX_ANSWERS):
        await server.write(key, f"{number:064d}", b"x", epoch=epoch)
        assert await raw.hlen(key) <= MAX_ANSWERS + 1
        assert (await server.read(key, f"{number:064d}")).value == b"x", "the latest is always kept"
    assert (await server.read(key, FIELD)).epoch == epoch


async def test_a_key_that_another_program_uses_holds_nothing_and_is_taken_over(
    server: ValkeyCacheServer, raw: GlideClient, key: str
) -> None:
    await raw.set(key, "text")
    assert (await server.read(key, FIELD)).value is None
    await server.write(key, FIELD, b"mine", epoch=b"")
    assert (await server.read(key, FIELD)).value == b"mine"
    await raw.set(key, "text")
    await server.drop(key)
    assert (await server.read(key, FIELD)).value is None


async def test_a_server_that_is_down_fails_every_call_and_not_the_opening(tmp_path: Path) -> None:
    server = await ValkeyCacheServer.open(settings(ValkeyServer(directory=tmp_path, search=False)))
    for call in (server.read("k", FIELD), server.write("k", FIELD, b"", epoch=b""), server.drop("k")):
        with pytest.raises(StoreUnavailable, match=r"hot cache at 127\.0\.0\.1:\d+ failed"):
            await call
    await server.aclose()
    await server.aclose()


@pytest.fixture
def frozen(own_server: ValkeyServer) -> Iterator[ValkeyServer]:
    yield own_server
    own_server.resume()


async def test_a_frozen_server_fails_within_bounds_and_serves_again(frozen: ValkeyServer) -> None:
    server = await ValkeyCacheServer.open(settings(frozen))
    await server.write("k", FIELD, b"kept", epoch=b"")
    frozen.pause()
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            await server.read("k", FIELD)
    frozen.resume()
    assert (await server.read("k", FIELD)).value == b"kept"
    await server.aclose()


async def test_a_password_and_a_database_are_used(own_server: ValkeyServer) -> None:
    client = await connected(own_server)
    await client.config_set({"requirepass": "open-sesame"})
    await client.close()
    locked = await ValkeyCacheServer.open(settings(own_server))
    with pytest.raises(StoreUnavailable, match="NOAUTH; see username and password") as refused:
        await locked.read("k", FIELD)
    assert "sesame" not in str(refused.value)
    await locked.aclose()
    for expected in (None, b"x"):
        server = await ValkeyCacheServer.open(settings(own_server, password="open-sesame", db=3))
        assert (await server.read("k", FIELD)).value == expected
        await server.write("k", FIELD, b"x", epoch=b"")
        await server.aclose()
    other = await ValkeyCacheServer.open(settings(own_server, password="open-sesame", db=4))
    assert (await other.read("k", FIELD)).value is None
    await other.aclose()


async def test_a_user_with_the_documented_rights_is_enough_and_one_with_fewer_is_told(own_server: ValkeyServer) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = re.search(r"`(\+info [^`]*)`", page)
    assert documented is not None
    client = await connected(own_server)
    rules = documented[1].split()
    for rights in (rules, [right for right in rules if right != "+hset"]):
        await client.custom_command(["ACL", "SETUSER", "cache", "reset", "on", ">secret", "~memory_cache:*", *rights])
        server = await ValkeyCacheServer.open(settings(own_server, username="cache", password="secret", db=1))
        try:
            await server.read("memory_cache:k", FIELD)
            if rights is rules:
                await server.write("memory_cache:k", FIELD, b"x", epoch=b"")
                await server.drop("memory_cache:k")
                with pytest.raises(StoreUnavailable, match="PermissionDenied; see docs"):
                    await server.read("another:k", FIELD)
            else:
                with pytest.raises(StoreUnavailable, match="ACL failure; see docs"):
                    await server.write("memory_cache:k", FIELD, b"x", epoch=b"1")
                with pytest.raises(StoreUnavailable, match="ACL failure; see docs"):
                    await server.drop("memory_cache:k")
        finally:
            await server.aclose()
    await client.close()


async def test_a_replica_is_told_as_such(own_server: ValkeyServer) -> None:
    client = await connected(own_server)
    await client.custom_command(["REPLICAOF", "127.0.0.1", "1"])
    await client.close()
    server = await ValkeyCacheServer.open(settings(own_server))
    try:
        with pytest.raises(StoreUnavailable, match="address must name a primary"):
            await server.drop("k")
    finally:
        await server.aclose()


async def test_a_full_server_says_what_to_do_and_still_drops(own_server: ValkeyServer) -> None:
    server = await ValkeyCacheServer.open(settings(own_server))
    await server.write("k", FIELD, b"kept", epoch=b"")
    client = await connected(own_server)
    await client.config_set({"maxmemory": "1"})
    await client.close()
    try:
        with pytest.raises(StoreUnavailable, match="OOM; raise its maxmemory"):
            await server.write("other", FIELD, b"x" * 1000, epoch=b"")
        await server.drop("k")
        assert (await server.read("k", FIELD)).value is None
    finally:
        await server.aclose()

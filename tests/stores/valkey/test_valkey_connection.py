"""Commands, scripts and what goes wrong with a server, told apart and in words."""

import asyncio
import socket
from pathlib import Path

import pytest

from memrouter.config.base import Secret
from memrouter.config.memory import ValkeySettings
from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.errors import ServerRefused, refused
from memrouter.stores.valkey.scripts import LuaScript, ScriptCall
from memrouter.testing.valkey import ValkeyServer, free_port, settings_from_url

ECHO = LuaScript("return {KEYS[1], ARGV[1]}")


async def test_arguments_of_every_kind_reach_the_server_as_they_are(connection: Connection) -> None:
    await connection.run(["SET", "~t{connection}:x", b"\x00\xff", "PX", 60_000])
    assert await connection.run(["GET", "~t{connection}:x"]) == b"\x00\xff"
    assert await connection.run(["ECHO", "用户"]) == "用户".encode()
    assert await connection.run(["ECHO", 1.5]) == b"1.5"


async def test_a_lone_surrogate_is_a_bad_request_and_no_failure_of_the_server(connection: Connection) -> None:
    with pytest.raises(InvalidRequest):
        await connection.run(["ECHO", "\ud800"])


async def test_a_script_runs_whether_the_server_knows_it_or_not(connection: Connection) -> None:
    for _ in range(2):
        await connection.run(["SCRIPT", "FLUSH"])
        assert await connection.script(ECHO, ["{a}k"], ["v"]) == [b"{a}k", b"v"]
        assert await connection.script(ECHO, ["{a}k"], ["w"]) == [b"{a}k", b"w"]


async def test_scripts_and_commands_of_one_pipeline_come_back_in_their_order(connection: Connection) -> None:
    await connection.run(["SCRIPT", "FLUSH"])
    calls = [ScriptCall(ECHO, ["{a}"], [1]), ["ECHO", "x"], ScriptCall(ECHO, ["{b}"], [2])]
    assert await connection.scripts(calls) == [[b"{a}", b"1"], b"x", [b"{b}", b"2"]]
    assert await connection.scripts([]) == []


async def test_an_error_in_a_pipeline_stands_at_its_place_or_is_raised(connection: Connection) -> None:
    commands = [["ECHO", "a"], ["NO-SUCH-COMMAND"], ["ECHO", "b"]]
    first, error, last = await connection.attempt(commands)
    assert (first, last) == (b"a", b"b")
    assert isinstance(error, ServerRefused)
    assert error.command_unknown
    with pytest.raises(ServerRefused):
        await connection.pipeline(commands)


@pytest.mark.parametrize("reply", ["mem_idx: no such index", "Unknown: Index name", "Unknown index name",
                                   "Index: with name 'mem_idx' not found in database 0"])  # fmt: skip
def test_a_missing_index_is_recognised_in_the_words_of_every_server(reply: str) -> None:
    assert refused(reply, place="h:1").index_missing


def test_an_error_never_repeats_what_the_server_quotes() -> None:
    error = refused("Syntax error at offset 3 near 'my secret memory'", place="h:1")
    assert "secret" not in str(error)
    assert "secret" in error.reply


@pytest.mark.parametrize(
    ("reply", "fix"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "raise maxmemory"),
        ("READONLY You can't write against a read only replica.", "to the primary"),
        ("MOVED 866 10.0.0.1:6379", "cluster: true"),
        ("NOPERM User x has no permissions to run the 'hset' command", "ACL"),
        ("MISCONF Errors writing to the AOF file", "disk"),
    ],
)
def test_a_known_error_names_its_fix(reply: str, fix: str) -> None:
    assert fix in str(refused(reply, place="h:1"))


async def test_a_server_that_stands_still_is_unavailable_within_the_timeout() -> None:
    async with ValkeyServer(search=False) as server:
        connection = await Connection.open(server.settings(timeout=0.2))
        server.pause()
        try:
            async with asyncio.timeout(5):
                with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.2 s"):
                    await connection.run(["PING"])
                with pytest.raises(StoreUnavailable, match=r"did not accept a connection within 0\.2 s"):
                    await Connection.open(server.settings(timeout=0.2))
        finally:
            server.resume()
            await connection.aclose()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": Secret("wrong")}, "refuses the username or password"),
        ({"username": "nobody", "password": Secret("right")}, "refuses the username or password"),
        ({}, "asks for a password"),
    ],
)
async def test_a_server_that_wants_another_password_says_which_setting(changes: dict[str, object], said: str) -> None:
    async with ValkeyServer(search=False, args=("--requirepass", "right")) as server:
        with pytest.raises(StoreUnavailable, match=said) as caught:
            await Connection.open(server.settings(timeout=0.3, **changes))
        assert "wrong" not in str(caught.value)
        connection = await Connection.open(server.settings(password=Secret("right")))
        assert await connection.run(["PING"]) == b"PONG"
        await connection.aclose()


async def test_a_refused_connection_and_an_unknown_host_are_told_apart() -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot be reached \(Connection refused\)"):
        await Connection.open(ValkeySettings(host="127.0.0.1", port=free_port(), timeout=0.2))
    with pytest.raises(StoreUnavailable, match=r"no-such-host\.invalid:6379 cannot be reached"):
        await Connection.open(ValkeySettings(host="no-such-host.invalid", timeout=0.2))


async def test_a_port_where_something_else_answers_is_not_taken_for_valkey() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, family=socket.AF_INET)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}"):
            await Connection.open(ValkeySettings(host="127.0.0.1", port=port, timeout=0.3))


async def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (tmp_path / "absent.pem", empty):
        settings = ValkeySettings(tls_enabled=True, tls_ca_path=str(path), timeout=0.2)
        with pytest.raises(StoreUnavailable, match="tls_ca_path"):
            await Connection.open(settings)


async def test_a_closed_connection_is_unavailable_and_closing_again_does_nothing(valkey: ValkeySettings) -> None:
    connection = await Connection.open(valkey)
    await connection.aclose()
    await connection.aclose()
    with pytest.raises(StoreUnavailable, match="closed"):
        await connection.run(["PING"])
    with pytest.raises(StoreUnavailable, match="closed"):
        await connection.pipeline([["PING"]])


def test_a_url_names_every_setting() -> None:
    settings = settings_from_url("valkeys://us%40er:pa%3Ass@example:7000/3?cluster=true")
    assert (settings.host, settings.port, settings.database, settings.cluster) == ("example", 7000, 3, True)
    assert (settings.username, settings.password.get_secret_value(), settings.tls_enabled) == ("us@er", "pa:ss", True)
    assert settings_from_url("redis://localhost").port == 6379

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memrouter.config.settings import Settings
from memrouter.errors import ConfigError, UnknownModel, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from memrouter.testing.upstream import Answer, Fault, Received, ScriptedUpstream, completion_chunks
from memrouter.upstream.base import ChatUpstream, UpstreamReply, UpstreamRequest
from memrouter.upstream.client import HttpUpstream

BODY = b'{"model": "m",  "messages": [] }'


class StillClock:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0


class Failovers:
    """Notes failovers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, *, model: str, backend: str) -> None:
        self.seen.append((model, backend))


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def configure(endpoints: Sequence[str], server: dict[str, Any] | None = None, **ref: object) -> Settings:
    """Return settings whose model ``m`` tries the endpoints in this order: the first has a weight, the rest none."""
    refs = [
        {"name": f"b{number}", "endpoint": endpoint, "weight": 1 if number == 0 else 0, **ref}
        for number, endpoint in enumerate(endpoints)
    ]
    models = [{"name": "m", "backend_refs": refs}]
    return Settings.model_validate({"providers": {"models": models}, "global": {"server": server or {}}})


@asynccontextmanager
async def client(*endpoints: str, failovers: Failovers | None = None, **options: Any) -> AsyncIterator[ChatUpstream]:
    # More than one reserve would be drawn at random; no test needs it.
    assert len(endpoints) <= 2
    upstream = HttpUpstream(
        configure(endpoints, **options),
        env={"KEY": "k"},
        clock=StillClock(),
        rng=random.Random(1),
        on_failover=failovers,
    )
    try:
        yield upstream
    finally:
        await upstream.aclose()


def request(body: bytes = BODY, *, timeout: float = 5, headers: dict[str, str] | None = None) -> UpstreamRequest:
    return UpstreamRequest(model="m", body=body, headers=headers or {}, timeout=timeout)


async def whole(reply: UpstreamReply) -> bytes:
    try:
        return b"".join([chunk async for chunk in reply.chunks()])
    finally:
        await reply.aclose()


async def ask(upstream: ChatUpstream, body: bytes = BODY) -> bytes:
    return await whole(await upstream.send(request(body)))


async def test_body_and_headers_reach_the_backend_as_given() -> None:
    async with ScriptedUpstream() as server, client(server.endpoint) as upstream:
        headers = {"content-type": "application/json; x=y", "authorization": "Bearer c", "x-trace": "ü"}
        reply = await upstream.send(request(headers=headers))
        assert (reply.status, reply.backend) == (200, "b0")
        assert b'"content": "ok"' in await whole(reply)
    (received,) = server.requests
    assert (received.method, received.target, received.body) == ("POST", "/v1/chat/completions", BODY)
    assert sorted((name.lower(), value) for name, value in received.headers) == [
        (b"accept-encoding", b"identity"),
        (b"authorization", b"Bearer c"),
        (b"content-length", str(len(BODY)).encode()),
        (b"content-type", b"application/json; x=y"),
        (b"host", server.endpoint.encode()),
        (b"x-trace", "ü".encode()),
    ]


async def test_identity_headers_and_the_clients_key_are_kept_from_a_backend_with_its_own() -> None:
    async with ScriptedUpstream() as server, client(server.endpoint, api_key_env="KEY") as upstream:
        headers = {"authorization": "Bearer client", "x-authz-user-id": "ann", "content-length": "1"}
        await whole(await upstream.send(request(headers=headers)))
    (received,) = server.requests
    assert received.header("authorization") == "Bearer k"
    assert received.header("x-authz-user-id") is None
    assert received.body == BODY


def test_a_missing_key_is_found_at_construction() -> None:
    with pytest.raises(ConfigError, match="NOT_THERE"):
        HttpUpstream(configure(["h:1"], api_key_env="NOT_THERE"), env={}, clock=StillClock(), rng=random.Random())


async def test_a_large_body_arrives_whole() -> None:
    body = random.Random(3).randbytes(3_000_000)
    async with ScriptedUpstream() as server, client(server.endpoint) as upstream:
        await ask(upstream, body)
    assert server.requests[0].body == body


async def test_status_headers_and_body_come_back_unchanged() -> None:
    answer = Answer(
        status=429,
        headers={"Retry-After": "3", "Content-Encoding": "gzip", "Keep-Alive": "x"},
        body=(b"\x1f\x8b\0raw",),
    )
    async with ScriptedUpstream(answer) as server, client(server.endpoint) as upstream:
        reply = await upstream.send(request())
        headers = dict(reply.headers)
        assert await whole(reply) == b"\x1f\x8b\0raw"
    assert reply.status == 429
    assert headers[b"retry-after"] == b"3"
    assert (headers[b"content-encoding"], headers[b"content-length"]) == (b"gzip", b"6")
    assert b"keep-alive" not in headers


async def test_a_redirect_is_relayed_not_followed() -> None:
    answer = Answer(status=307, headers={"Location": "http://127.0.0.1:1/"})
    async with ScriptedUpstream(answer) as server, client(server.endpoint) as upstream:
        reply = await upstream.send(request())
        await whole(reply)
    assert (reply.status, dict(reply.headers)[b"location"]) == (307, b"http://127.0.0.1:1/")


async def test_cookies_of_a_backend_are_not_kept() -> None:
    # Asked by name, because no client keeps the cookies of a bare address.
    async with (
        ScriptedUpstream(Answer(headers={"Set-Cookie": "a=b; Path=/"})) as server,
        client(server.endpoint.replace("127.0.0.1", "localhost")) as upstream,
    ):
        await ask(upstream)
        await ask(upstream)
    assert server.requests[1].header("cookie") is None


@pytest.mark.parametrize(
    "failure",
    [
        Answer.error(500),
        Answer.error(503),
        Answer.fault(Fault.DISCONNECT),
        Answer.fault(Fault.RESET),
    ],
)
async def test_a_failure_before_the_answer_leads_to_the_next_backend(failure: Answer) -> None:
    failovers = Failovers()
    async with (
        ScriptedUpstream(failure) as bad,
        ScriptedUpstream() as good,
        client(bad.endpoint, good.endpoint, failovers=failovers) as upstream,
    ):
        reply = await upstream.send(request())
        assert (reply.status, reply.backend) == (200, "b1")
        await whole(reply)
    assert [len(server.requests) for server in (bad, good)] == [1, 1]
    assert good.requests[0].body == BODY
    assert failovers.seen == [("m", "b0")]


async def test_a_backend_that_cannot_be_connected_to_is_passed_over_and_then_tried_last() -> None:
    failovers = Failovers()
    async with (
        ScriptedUpstream() as good,
        client(f"127.0.0.1:{closed_port()}", good.endpoint, failovers=failovers) as upstream,
    ):
        await ask(upstream)
        await ask(upstream)
    assert len(good.requests) == 2
    assert failovers.seen == [("m", "b0")]


@pytest.mark.parametrize("name", ["no-such-host.invalid", "no..host", f"{'n' * 64}.invalid"])
async def test_a_name_that_does_not_resolve_leads_to_the_next_backend(name: str) -> None:
    async with ScriptedUpstream() as good, client(f"{name}:80", good.endpoint) as upstream:
        await ask(upstream)


async def test_an_answer_that_is_not_http_leads_to_the_next_backend() -> None:
    async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, ScriptedUpstream() as good, client(f"127.0.0.1:{port}", good.endpoint) as upstream:
        await ask(upstream)


async def test_a_status_that_http_does_not_have_leads_to_the_next_backend_and_is_named() -> None:
    async with (
        ScriptedUpstream(Answer(status=600, body=(b"{}",))) as odd,
        ScriptedUpstream(Answer(status=999, body=(b"{}",))) as odder,
        client(odd.endpoint, odder.endpoint) as upstream,
    ):
        with pytest.raises(UpstreamUnreachable, match=r"status 600, which is none of HTTP; .* status 999"):
            await upstream.send(request())
        assert (len(odd.requests), len(odder.requests)) == (1, 1), "no request is sent again"


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_body_tells_no_length_and_its_connection_is_kept(status: int) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY))
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 5\r\nx-a: 1\r\n\r\n" % status)
        writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    async with server, client(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as upstream:
        for _ in range(2):
            reply = await upstream.send(request())
            assert (reply.status, list(reply.headers)) == (status, [(b"x-a", b"1")])
            assert await whole(reply) == b""


async def test_when_all_fail_the_last_5xx_is_returned_with_its_body() -> None:
    async with (
        ScriptedUpstream(Answer.error(500, "a")) as first,
        ScriptedUpstream(Answer.error(503, "b")) as second,
        client(first.endpoint, second.endpoint) as upstream,
    ):
        reply = await upstream.send(request())
        assert (reply.status, reply.backend) == (503, "b1")
        assert b'"message": "b"' in await whole(reply)


async def test_a_5xx_is_returned_even_if_a_later_backend_is_unreachable() -> None:
    async with (
        ScriptedUpstream(Answer.error(502, "a")) as first,
        client(first.endpoint, f"127.0.0.1:{closed_port()}") as upstream,
    ):
        reply = await upstream.send(request())
        assert reply.status == 502
        assert b'"message": "a"' in await whole(reply)


async def test_when_no_backend_can_be_connected_to_the_error_names_them_all() -> None:
    ports = [closed_port(), closed_port()]
    async with client(*(f"127.0.0.1:{port}" for port in ports)) as upstream:
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream.send(request())
    assert all(f"backend 'b{n}' (127.0.0.1:{port})" in str(caught.value) for n, port in enumerate(ports))


async def test_a_model_without_backends_is_unknown() -> None:
    async with client("127.0.0.1:1") as upstream:
        with pytest.raises(UnknownModel):
            await upstream.send(UpstreamRequest(model="x", body=b"", headers={}, timeout=1))


async def test_silence_before_the_answer_is_a_timeout_and_no_other_backend_is_asked() -> None:
    async with (
        ScriptedUpstream(Answer.fault(Fault.HANG)) as silent,
        ScriptedUpstream() as other,
        client(silent.endpoint, other.endpoint) as upstream,
    ):
        with pytest.raises(UpstreamTimeout, match=r"backend 'b0' \(127"):
            await upstream.send(request(timeout=0.05))
        async with asyncio.timeout(5):
            await silent.seen_disconnect.wait()
        assert other.requests == []
        await ask(upstream)
        assert len(other.requests) == 1, "a silent backend is tried last for a while"


async def test_a_backend_that_does_not_take_the_body_is_a_timeout() -> None:
    done = asyncio.Event()

    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.transport.abort()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    port = server.sockets[0].getsockname()[1]
    async with server, client(f"127.0.0.1:{port}", server={"connect_timeout": 0.1}) as upstream:
        with pytest.raises(UpstreamTimeout):
            await upstream.send(request(bytes(30_000_000), timeout=0.1))
        done.set()


async def test_silence_in_the_middle_of_an_answer_is_a_timeout_after_what_came() -> None:
    async with (
        ScriptedUpstream(Answer.stream(b"data: 1\n\n", Fault.HANG)) as server,
        client(server.endpoint) as upstream,
    ):
        reply = await upstream.send(request(timeout=0.1))
        chunks = reply.chunks()
        assert await anext(chunks) == b"data: 1\n\n"
        with pytest.raises(UpstreamTimeout, match="'b0'"):
            await anext(chunks)
        await reply.aclose()


@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.RESET])
async def test_a_break_in_the_middle_of_an_answer_is_an_error_and_not_retried(fault: Fault) -> None:
    gate = asyncio.Event()
    async with (
        ScriptedUpstream(Answer.stream(b"data: 1\n\n", gate, fault)) as server,
        ScriptedUpstream() as other,
        client(server.endpoint, other.endpoint) as upstream,
    ):
        reply = await upstream.send(request())
        chunks = reply.chunks()
        assert await anext(chunks) == b"data: 1\n\n"
        gate.set()
        with pytest.raises(UpstreamError, match="'b0'") as caught:
            await anext(chunks)
        assert not isinstance(caught.value, UpstreamTimeout)
        await reply.aclose()
    assert other.requests == []


async def test_each_piece_is_relayed_before_the_next_one_is_sent() -> None:
    gates = [asyncio.Event() for _ in range(3)]
    pieces = [b'data: {"a"', b":1}\n", b"\n: ping\r\n\r\ndata: [DONE]\n\n"]
    steps = [step for pair in zip(gates, pieces, strict=True) for step in pair]
    async with ScriptedUpstream(Answer.stream(*steps)) as server, client(server.endpoint) as upstream:
        reply = await upstream.send(request())
        chunks = reply.chunks()
        for gate, piece in zip(gates, pieces, strict=True):
            gate.set()
            assert await anext(chunks) == piece
        assert [chunk async for chunk in chunks] == []
        await reply.aclose()


@settings(max_examples=15)
@given(pieces=st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from(completion_chunks("é")), max_size=8))
def test_streams_come_through_byte_for_byte(pieces: list[bytes]) -> None:
    async def relay() -> bytes:
        async with ScriptedUpstream(Answer.stream(*pieces)) as server, client(server.endpoint) as upstream:
            return await ask(upstream)

    assert asyncio.run(relay()) == b"".join(pieces)


async def test_closing_a_reply_before_its_end_is_seen_by_the_backend() -> None:
    async with (
        ScriptedUpstream(Answer.stream(b"data: 1\n\n", Fault.HANG)) as server,
        client(server.endpoint) as upstream,
    ):
        reply = await upstream.send(request())
        await anext(reply.chunks())
        await reply.aclose()
        async with asyncio.timeout(5):
            await server.seen_disconnect.wait()
        await reply.aclose()


async def test_cancelling_a_request_before_its_answer_is_seen_by_the_backend() -> None:
    async with (
        ScriptedUpstream(Answer.fault(Fault.HANG)) as server,
        ScriptedUpstream() as other,
        client(server.endpoint, other.endpoint) as upstream,
    ):
        task = asyncio.create_task(upstream.send(request()))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await server.seen_disconnect.wait()
    assert other.requests == []


async def test_cancelling_during_failover_closes_the_5xx_that_was_held_back() -> None:
    answer = Answer(status=500, body=(b"begun", Fault.HANG))
    async with (
        ScriptedUpstream(answer) as first,
        ScriptedUpstream(Answer.fault(Fault.HANG)) as second,
        client(first.endpoint, second.endpoint) as upstream,
    ):
        task = asyncio.create_task(upstream.send(request()))
        await second.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await first.seen_disconnect.wait()


async def test_connections_are_kept_for_the_next_request() -> None:
    async with ScriptedUpstream() as server, client(server.endpoint) as upstream:
        for _ in range(3):
            await ask(upstream)
    assert [received.connection for received in server.requests] == [1, 1, 1]


@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.RESET])
async def test_a_kept_connection_that_the_server_closed_is_replaced_by_a_fresh_one(fault: Fault) -> None:
    async with (
        ScriptedUpstream() as server,
        ScriptedUpstream() as other,
        client(server.endpoint, other.endpoint) as upstream,
    ):
        await ask(upstream)
        server.script(Answer.fault(fault))
        assert b"ok" in await ask(upstream)
        await ask(upstream)
    assert [received.connection for received in server.requests] == [1, 1, 2, 2]
    assert other.requests == []


async def test_a_fresh_connection_that_breaks_too_leads_to_the_next_backend() -> None:
    async with (
        ScriptedUpstream() as server,
        ScriptedUpstream() as other,
        client(server.endpoint, other.endpoint) as upstream,
    ):
        await ask(upstream)
        server.script(Answer.fault(Fault.DISCONNECT), Answer.fault(Fault.DISCONNECT))
        await ask(upstream)
    assert (len(server.requests), len(other.requests)) == (3, 1)


async def test_a_server_that_was_restarted_is_reached_again() -> None:
    async with ScriptedUpstream() as server, client(server.endpoint) as upstream:
        await ask(upstream)
        await server.aclose()
        await server.start()
        assert b"ok" in await ask(upstream)


async def test_a_backend_with_all_connections_in_use_is_passed_over() -> None:
    limits = {"upstream_connections": 1, "connect_timeout": 0.05}
    async with (
        ScriptedUpstream(Answer.stream(b"x", Fault.HANG)) as busy,
        ScriptedUpstream() as free,
        client(busy.endpoint, free.endpoint, server=limits) as upstream,
    ):
        held = await upstream.send(request())
        assert b"ok" in await ask(upstream)
        await held.aclose()


async def test_many_requests_at_once_get_their_own_answers() -> None:
    def echo(received: Received) -> Answer:
        return Answer(body=(received.body,))

    async with ScriptedUpstream(echo) as server, client(server.endpoint) as upstream:
        bodies = [str(number).encode() for number in range(50)]
        assert await asyncio.gather(*(ask(upstream, body) for body in bodies)) == bodies


async def test_nothing_is_sent_after_closing() -> None:
    async with ScriptedUpstream() as server, client(server.endpoint) as upstream:
        await ask(upstream)
        await upstream.aclose()
        await upstream.aclose()
        with pytest.raises(UpstreamError):
            await upstream.send(request())


async def test_states_tell_which_backends_failed_and_no_key() -> None:
    settings = configure([f"127.0.0.1:{closed_port()}", "127.0.0.1:9"], api_key="secret-key")
    upstream = HttpUpstream(settings, env={}, clock=StillClock(), rng=random.Random(1))
    assert [state.cooling for state in upstream.states()["m"]] == [0, 0]
    with pytest.raises(UpstreamUnreachable):
        await upstream.send(UpstreamRequest(model="m", body=BODY, headers={}, timeout=1))
    first, second = upstream.states()["m"]
    assert (first.name, first.weight, second.address, second.weight) == ("b0", 1, "127.0.0.1:9", 0)
    assert (first.cooling, second.cooling) == (5, 5)
    assert "secret-key" not in repr((first, second))
    await upstream.aclose()

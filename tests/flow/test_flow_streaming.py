"""A stream through the router is the stream of the model server: the same bytes, as they come."""

import asyncio

import aiohttp
import pytest
from openai import APIError, AsyncOpenAI

from memrouter.testing.upstream import Answer, Fault, Received, ScriptedUpstream, completion_chunks

from .servers import CANARY, Caller, Router, chat_body

SAID = f"Tell me something about my {CANARY} that I did not know before."
NEVER = 30.0
"""Seconds after which a test gives up waiting."""

USAGE = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'


def cut(body: bytes, *sizes: int) -> list[bytes]:
    """Return ``body`` in pieces of these sizes, over and over."""
    pieces, start, index = [], 0, 0
    while start < len(body):
        size = sizes[index % len(sizes)]
        pieces.append(body[start : start + size])
        start, index = start + size, index + 1
    return pieces


WHOLE = b"".join(
    (
        b": a comment\n\n",
        *completion_chunks("A canary ", "sings 🎵", " in the\nmorning."),
        b": keep-alive\r\n\r\nevent: odd\r\nid: 7\r\nretry: 10\r\n\r\n",
        b"data:no blank\ndata: two lines\n\n",
        USAGE,
        b"data: [DONE]\n\n: the end\n\n",
    )
)


async def stream_bytes(http: aiohttp.ClientSession, url: str, **headers: str) -> tuple[bytes, str]:
    """Return the whole body and the content type."""
    async with http.post(f"{url}/chat/completions", data=chat_body(SAID, stream=True), headers=headers) as answer:
        return await answer.read(), answer.headers["content-type"]


@pytest.mark.parametrize("sizes", [(1,), (2, 3, 5, 7), (10_000,), (64, 1)])
async def test_a_stream_has_the_same_bytes_with_and_without_the_router(
    router: Router, upstream: ScriptedUpstream, sizes: tuple[int, ...]
) -> None:
    upstream.script(Answer.stream(*cut(WHOLE, *sizes)), Answer.stream(*cut(WHOLE, *sizes)))
    direct = await stream_bytes(router.http, upstream.url)
    routed = await stream_bytes(router.http, f"{router.url}/v1")
    assert routed == direct
    assert routed[0] == WHOLE


async def test_the_official_client_reads_the_same_chunks_with_and_without_the_router(
    alice: Caller, echo_server: str
) -> None:
    async def texts(client: AsyncOpenAI) -> list[str | None]:
        stream = await client.chat.completions.create(
            model="qwen3", messages=[{"role": "user", "content": SAID}], stream=True
        )
        return [chunk.choices[0].delta.content async for chunk in stream]

    def echoed(chunks: list[str | None]) -> str:
        return "".join(filter(None, chunks)).partition("User: ")[2]

    direct = await texts(alice.openai.with_options(base_url=f"http://{echo_server}/v1"))
    routed = await texts(alice.openai)
    assert echoed(routed) == echoed(direct) == SAID
    assert [chunk and len(chunk) for chunk in routed] == [chunk and len(chunk) for chunk in direct]


async def test_a_stream_is_relayed_as_it_comes(alice: Caller, upstream: ScriptedUpstream) -> None:
    first, *rest = completion_chunks("A canary ", "sings.")
    gated = [(asyncio.Event(), piece) for piece in rest]
    steps = [step for pair in gated for step in pair]
    upstream.script(Answer.stream(first, *steps))
    async with asyncio.timeout(NEVER), alice.streaming(SAID) as answer:
        assert await answer.content.readexactly(len(first)) == first
        for gate, piece in gated:
            gate.set()
            assert await answer.content.readexactly(len(piece)) == piece
        assert await answer.content.read() == b""


async def test_a_streamed_answer_has_its_headers_before_its_first_piece(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Answer.stream(gate, *completion_chunks("done")))
    async with asyncio.timeout(NEVER), alice.streaming(SAID) as answer:
        assert answer.headers["x-memory-status"] == "missing"
        gate.set()
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")


async def test_a_client_that_hangs_up_cancels_the_upstream_call(alice: Caller, upstream: ScriptedUpstream) -> None:
    skipped = await alice.router.metric("memrouter_turns_skipped_total", reason="aborted")
    upstream.script(Answer.stream(completion_chunks("A canary is a small bird that sings")[0], Fault.HANG))
    async with asyncio.timeout(NEVER):
        async with alice.streaming(SAID) as answer:
            assert b"small bird" in await answer.content.readany()
            answer.close()
        await upstream.seen_disconnect.wait()
    assert await alice.stored_meanwhile() == []
    assert await alice.router.metric("memrouter_turns_skipped_total", reason="aborted") == skipped + 1


async def test_a_client_that_hangs_up_before_the_answer_cancels_the_upstream_call(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    upstream.script(Answer.fault(Fault.HANG))
    asking = asyncio.ensure_future(alice.chat(SAID))
    async with asyncio.timeout(NEVER):
        await upstream.arrived.wait()
        asking.cancel()
        await upstream.seen_disconnect.wait()
    assert await alice.stored_meanwhile() == []


@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.RESET])
async def test_an_upstream_that_breaks_off_a_stream_is_an_error_and_nothing_is_stored(
    alice: Caller, upstream: ScriptedUpstream, fault: Fault
) -> None:
    gate = asyncio.Event()
    upstream.script(Answer.stream(completion_chunks("A canary is a small bird that sings")[0], gate, fault))
    stream = await alice.openai.chat.completions.create(
        model="scripted", messages=[{"role": "user", "content": SAID}], stream=True
    )
    assert (await anext(aiter(stream))).choices[0].delta.content is not None
    gate.set()
    with pytest.raises(APIError, match="broke off"):
        await anext(aiter(stream))
    await stream.close()
    assert await alice.stored_meanwhile() == []


async def test_an_upstream_that_breaks_off_a_plain_answer_is_an_error_and_nothing_is_stored(
    alice: Caller, upstream: ScriptedUpstream
) -> None:
    whole = Answer.completion("A canary is a small bird that sings.").body[0]
    assert isinstance(whole, bytes)
    upstream.script(Answer(headers={"Content-Type": "application/json"}, body=(whole[:40], Fault.DISCONNECT)))
    with pytest.raises(aiohttp.ClientPayloadError):
        await alice.chat(SAID)
    assert await alice.stored_meanwhile() == []


async def test_a_stream_that_holds_an_error_is_not_stored(alice: Caller, upstream: ScriptedUpstream) -> None:
    failure = b'data: {"error": {"message": "out of memory", "type": "server_error", "code": null}}\n\n'
    upstream.script(Answer.stream(completion_chunks("A canary is a small bird")[0], failure, b"data: [DONE]\n\n"))
    async with alice.streaming(SAID) as answer:
        assert failure in await answer.read()
    assert await alice.stored_meanwhile() == []


async def test_fifty_streams_at_once_do_not_mix(alice: Caller, scripted_port: int) -> None:
    def repeat(received: Received) -> Answer:
        said = received.json()["messages"][-1]["content"]
        return Answer.stream(*cut(b"".join(completion_chunks(*said.split())), 17))

    words = [f"number {number} of the {CANARY}s" for number in range(50)]

    async def read(text: str) -> bytes:
        async with alice.streaming(text) as answer:
            return await answer.read()

    async with ScriptedUpstream(repeat, port=scripted_port):
        bodies = await asyncio.gather(*map(read, words))
    assert bodies == [b"".join(completion_chunks(*text.split())) for text in words]

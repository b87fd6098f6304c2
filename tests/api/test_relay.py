"""What the server is given to send, and when."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message

from memrouter.api.hangup import Hangup
from memrouter.api.relay import RelayResponse
from memrouter.config.settings import Settings
from memrouter.models.turn import Reply
from memrouter.testing.clock import ManualClock
from memrouter.testing.upstream import Answer, ScriptedUpstream
from memrouter.upstream.base import UpstreamRequest
from memrouter.upstream.client import HttpUpstream
from memrouter.upstream.reply import ReplyReader


@asynccontextmanager
async def answered(answer: Answer, finished: list[Reply]) -> AsyncIterator[RelayResponse]:
    """Give the response for an answer of a model server."""
    async with ScriptedUpstream(answer) as server:
        models = [{"name": "m", "backend_refs": [{"endpoint": server.endpoint}]}]
        settings = Settings.model_validate({"providers": {"models": models}})
        upstream = HttpUpstream(settings, env={}, clock=ManualClock(), rng=random.Random(1))

        async def finish(reply: Reply) -> None:
            finished.append(reply)

        reply = await upstream.send(UpstreamRequest(model="m", body=b"{}", headers={}, timeout=5))
        yield RelayResponse(
            reply,
            extra_headers=[(b"x-router", b"yes")],
            request_id="req_1",
            hangup=Hangup(never),
            reader=ReplyReader.for_headers(reply.headers, stream=False),
            finish=finish,
        )
        await upstream.aclose()


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def send_all(response: RelayResponse, sent: "asyncio.Queue[Message]") -> None:
    await response({"type": "http"}, never, sent.put)


async def test_the_end_of_a_whole_answer_leaves_with_its_body() -> None:
    finished: list[Reply] = []
    sent: asyncio.Queue[Message] = asyncio.Queue()
    async with answered(Answer.completion("ok"), finished) as response:
        await send_all(response, sent)
    messages = [sent.get_nowait() for _ in range(sent.qsize())]
    bodies = [message for message in messages if message["type"] == "http.response.body"]
    assert messages[0]["type"] == "http.response.start"
    assert (b"x-router", b"yes") in messages[0]["headers"]
    assert [body["more_body"] for body in bodies][-1] is False
    assert all(body["body"] for body in bodies), "no message for the end alone"
    assert [(reply.text, reply.complete) for reply in finished] == [("ok", True)]


@pytest.mark.parametrize("pieces", [[], [b"data: 1\n\n"], [b"data: 1\n\n", b"data: [DONE]\n\n"]])
async def test_each_piece_leaves_before_the_next_one_comes_and_there_is_one_end(pieces: list[bytes]) -> None:
    gates = [asyncio.Event() for _ in range(len(pieces) + 1)]
    steps = [step for gate, piece in zip(gates, pieces, strict=False) for step in (gate, piece)]
    sent: asyncio.Queue[Message] = asyncio.Queue()
    async with answered(Answer.stream(*steps, gates[-1]), []) as response:
        sending = asyncio.create_task(send_all(response, sent))
        assert (await sent.get())["type"] == "http.response.start"
        for gate, piece in zip(gates, pieces, strict=False):
            gate.set()
            assert await sent.get() == {"type": "http.response.body", "body": piece, "more_body": True}
        gates[-1].set()
        assert await sent.get() == {"type": "http.response.body", "body": b"", "more_body": False}
        await sending
        assert sent.empty()

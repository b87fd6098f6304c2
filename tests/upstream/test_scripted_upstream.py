import asyncio

import aiohttp
import pytest

from memrouter.testing.upstream import Answer, Fault, Received, ScriptedUpstream


async def post(session: aiohttp.ClientSession, server: ScriptedUpstream, body: bytes = b"{}") -> bytes:
    async with session.post(f"{server.url}/chat/completions", data=body) as response:
        return await response.read()


async def test_unless_told_otherwise_the_answer_is_ok() -> None:
    async with ScriptedUpstream() as server, aiohttp.ClientSession() as session:
        assert b'"content": "ok"' in await post(session, server)


async def test_the_script_is_played_in_order_and_then_the_default() -> None:
    async with ScriptedUpstream(Answer(body=(b"default",))) as server, aiohttp.ClientSession() as session:
        server.script(Answer(body=(b"1",)), Answer(body=(b"2",)))
        assert [await post(session, server) for _ in range(4)] == [b"1", b"2", b"default", b"default"]


async def test_an_answer_can_be_made_from_the_request() -> None:
    def repeat(received: Received) -> Answer:
        return Answer.json([received.json()["x"], received.header("Host"), received.target])

    async with ScriptedUpstream(repeat) as server, aiohttp.ClientSession() as session:
        answer = await post(session, server, b'{"x": 1}')
        assert answer == f'[1, "{server.endpoint}", "/v1/chat/completions"]'.encode()


async def test_a_gate_holds_back_what_follows() -> None:
    gate = asyncio.Event()
    async with ScriptedUpstream() as server, aiohttp.ClientSession() as session:
        server.script(Answer.stream(b"a", gate, b"b"))
        response = await session.post(server.url)
        assert await response.content.readany() == b"a"
        pending = asyncio.create_task(response.content.readany())
        await post(session, server)  # a whole other exchange has passed through the same loop
        assert not pending.done()
        gate.set()
        assert await pending == b"b"


@pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.RESET])
async def test_a_fault_breaks_the_connection_and_is_not_taken_for_the_clients(fault: Fault) -> None:
    async with ScriptedUpstream(Answer.fault(fault)) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(session, server)
        server.script(Answer())
        await post(session, server)
        assert not server.seen_disconnect.is_set()


async def test_stopping_in_the_middle_of_an_answer_is_not_taken_for_a_client_that_left() -> None:
    async with ScriptedUpstream(Answer.fault(Fault.HANG)) as server, aiohttp.ClientSession() as session:
        task = asyncio.create_task(post(session, server))
        await server.arrived.wait()
        await server.aclose()
        with pytest.raises(aiohttp.ClientConnectionError):
            await task
        assert not server.seen_disconnect.is_set()

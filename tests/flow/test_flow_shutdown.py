"""Stopping and dying: streams end, acknowledged turns are on disk, the exit is in time."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence

import aiohttp
import pytest

from memrouter.testing.upstream import Answer, Fault, Received, ScriptedUpstream, completion_chunks

from .servers import CANARY, Router, kept_contents, router_config, running_router

STREAMS = 8
TURNS = 40
IN_TIME = 20.0


async def refuses_connections(router: Router) -> None:
    """Wait until the router takes no new connection."""
    host, port = router.url.removeprefix("http://").split(":")
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await asyncio.sleep(0.05)
    raise AssertionError("the router still takes connections")


def told(contents: Sequence[str]) -> set[str]:
    """Return the questions of stored turns."""
    return {content.partition("\nA: ")[0].removeprefix("Q: ") for content in contents}


async def test_stopping_under_load_finishes_streams_and_stores_every_acknowledged_turn(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    gate = asyncio.Event()
    first, *rest = completion_chunks("A canary ", "sings at ", "six in the morning.")

    def answer(received: Received) -> Answer:
        if received.json().get("stream"):
            return Answer.stream(first, gate, *rest)
        return Answer.completion("I shall keep that in mind for you.")

    async with ScriptedUpstream(answer) as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, server={"shutdown_seconds": IN_TIME})
        async with running_router(tmp_path_factory.mktemp("stopping"), config) as router:
            alice = router.caller(CANARY)
            streamed = [f"Sing me song number {number} of my canary, please." for number in range(STREAMS)]
            spoken = [f"Fact number {number} is about my canary and its cage." for number in range(TURNS)]
            begun = asyncio.Barrier(STREAMS + 1)

            async def listen(said: str) -> bytes:
                async with alice.streaming(said) as stream:
                    head = await stream.content.readexactly(len(first))
                    await begun.wait()
                    return head + await stream.content.read()

            async with asyncio.timeout(IN_TIME):
                listening = [asyncio.ensure_future(listen(said)) for said in streamed]
                await begun.wait()
                answers = await asyncio.gather(*(alice.chat(said) for said in spoken))
                router.process.send_signal(signal.SIGTERM)
                assert {answer.status for answer in answers} == {200}
                await refuses_connections(router)
                assert router.process.returncode is None, "streams are still running"
                gate.set()
                assert set(await asyncio.gather(*listening)) == {b"".join((first, *rest))}
                assert await router.process.wait() == 0
            assert told(kept_contents(router.database)) == {*streamed, *spoken}
            assert not router.database.with_name("memories.db-wal").exists(), "the store was closed"


async def test_a_stream_that_does_not_end_is_cut_and_the_router_stops_in_time(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    first = completion_chunks("A canary sings for ever and ever.")[0]
    async with ScriptedUpstream(Answer.stream(first, Fault.HANG)) as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, server={"shutdown_seconds": 1})
        async with (
            running_router(tmp_path_factory.mktemp("cutting"), config) as router,
            asyncio.timeout(IN_TIME),
            router.caller(CANARY).streaming("Sing me a song of my canary that never ends.") as stream,
        ):
            assert await stream.content.readexactly(len(first)) == first
            router.process.send_signal(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientError):
                await stream.content.read()
            assert await router.process.wait() == 0
            await upstream.seen_disconnect.wait()
        assert kept_contents(router.database) == []


async def test_a_second_signal_stops_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    first = completion_chunks("A canary sings for ever and ever.")[0]
    async with ScriptedUpstream(Answer.stream(first, Fault.HANG)) as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, server={"shutdown_seconds": 600})
        async with (
            running_router(tmp_path_factory.mktemp("twice"), config) as router,
            asyncio.timeout(IN_TIME),
            router.caller(CANARY).streaming("Sing me a song of my canary that never ends.") as stream,
        ):
            await stream.content.readexactly(len(first))
            router.process.send_signal(signal.SIGINT)
            await refuses_connections(router)
            router.process.send_signal(signal.SIGINT)
            await router.process.wait()


async def test_listed_memories_survive_a_killed_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("killed")
    said = [f"Fact number {number} is about my canary and its cage." for number in range(30)]
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]})
        async with running_router(folder, config) as router:
            alice = router.caller(CANARY)
            await asyncio.gather(*(alice.chat(words) for words in said[:20]))
            listed = await alice.stored(20)
            more = [asyncio.ensure_future(alice.chat(words)) for words in said[20:]]
            await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
            router.process.kill()
            await asyncio.gather(*more, return_exceptions=True)
            assert await router.process.wait() == -signal.SIGKILL
        async with running_router(folder, config) as router:
            alice = router.caller(CANARY)
            kept = {memory["id"]: memory["content"] for memory in await alice.memories()}
            assert {memory["id"]: memory["content"] for memory in listed}.items() <= kept.items()
            assert told(list(kept.values())) <= set(said), "nothing is half written"
            assert (await alice.chat("What is fact number 7 about my canary?")).memory == "used"

"""Several processes behind one port: one that dies is replaced, all end together, and they count as one router."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from memrouter.demo.processes import START_SECONDS
from memrouter.testing.upstream import Answer, Received, ScriptedUpstream, completion_chunks

from .servers import CANARY, Router, kept_contents, router_config, running_router

WORKERS = 2
BURST = 100


def config_of(endpoint: str, **settings: Any) -> dict[str, Any]:
    config = router_config({"scripted": [endpoint]}, server={"workers": WORKERS, "shutdown_seconds": 20})
    config["global"] |= settings
    return config


async def workers_up(router: Router) -> dict[str, float]:
    text = (await router.get("/metrics")).body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.labels["worker"]: sample.value for sample in samples if sample.name == "memrouter_worker_up"}


async def all_up(router: Router) -> None:
    """Wait until every worker answers: each is a whole process, with as long to start as any other."""
    async with asyncio.timeout(START_SECONDS):
        while await workers_up(router) != {str(number): 1.0 for number in range(1, WORKERS + 1)}:
            await asyncio.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def workers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Router]:
    """A router of two processes, up, for the tests that leave it as they found it."""
    limits = {"requests_per_minute": 600, "burst": BURST}
    async with (
        ScriptedUpstream() as upstream,
        running_router(tmp_path_factory.mktemp("workers"), config_of(upstream.endpoint, limits=limits)) as router,
    ):
        await all_up(router)
        yield router


async def test_a_killed_worker_is_replaced_and_what_was_listed_is_kept(workers: Router) -> None:
    ann, bob = workers.caller(f"{CANARY} ann"), workers.caller(f"{CANARY} bob")
    await asyncio.gather(*(ann.chat(f"Fact number {i} is about my canary and its cage.") for i in range(20)))
    listed = await ann.stored(20)
    first = children(workers.process.pid)
    os.kill(first[0], signal.SIGKILL)
    await workers.logged(message="worker 1 ended with status -9; the next one starts in 0.2 s")
    await all_up(workers)
    assert len(set(children(workers.process.pid)) - set(first)) == 1
    assert {memory["id"] for memory in listed} == {memory["id"] for memory in await ann.memories()}
    for _ in range(6):
        assert (await ann.chat("What is fact number 7 about my canary?")).memory == "used"
        assert (await bob.chat("What is fact number 7 about my canary?")).memory != "unavailable"
    assert not any("number 7 is" in memory["content"] for memory in await bob.memories())


async def test_the_metrics_of_all_workers_add_up(workers: Router) -> None:
    await asyncio.gather(*(workers.exchange(closing_get(b"/v1/models", "counted")) for _ in range(40)))
    assert await workers.metric("memrouter_requests_total", route="/v1/models") == 40
    numbers = [str(number) for number in range(1, WORKERS + 1)]
    shares = [await workers.metric("memrouter_requests_total", route="/v1/models", worker=each) for each in numbers]
    assert sum(shares) == 40


async def test_all_workers_together_keep_one_limit(workers: Router) -> None:
    asked = (workers.exchange(closing_get(b"/v1/memory", "limited")) for _ in range(3 * BURST))
    answers = await asyncio.gather(*asked)
    refused = sum(" 429 " in answer.partition("\r\n")[0] for answer in answers)
    assert refused > BURST, "two processes that count apart would let twice the burst in"


async def test_a_signal_ends_all_workers_once_their_streams_and_turns_are_done(tmp_path: Path) -> None:
    gate = asyncio.Event()
    first, *rest = completion_chunks("A canary ", "sings at ", "six in the morning.")

    def answer(received: Received) -> Answer:
        del received
        return Answer.stream(first, gate, *rest)

    async with ScriptedUpstream(answer) as upstream:
        async with running_router(tmp_path, config_of(upstream.endpoint)) as router:
            await all_up(router)
            workers = children(router.process.pid)
            said = [f"Sing me song number {number} of my canary, please." for number in range(8)]
            begun = asyncio.Barrier(len(said) + 1)

            async def listen(words: str) -> bytes:
                async with router.caller(CANARY).streaming(words) as stream:
                    head = await stream.content.readexactly(len(first))
                    await begun.wait()
                    return head + await stream.content.read()

            listening = [asyncio.ensure_future(listen(words)) for words in said]
            await begun.wait()
            router.process.send_signal(signal.SIGTERM)
            await router.logged(message="Shutting down")
            gate.set()
            assert set(await asyncio.gather(*listening)) == {b"".join((first, *rest))}
            assert await router.process.wait() == 0
            assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        stored = {content.partition("\nA: ")[0].removeprefix("Q: ") for content in kept_contents(router.database)}
        assert stored == set(said)


async def test_a_worker_that_cannot_start_ends_everything_and_says_why_once(tmp_path: Path) -> None:
    config = config_of("127.0.0.1:9")
    config["global"]["stores"]["memory"]["sqlite"]["path"] = str(tmp_path / "absent" / "m.db")
    with pytest.raises(Exception, match="create it") as failed:
        async with running_router(tmp_path, config):
            raise AssertionError("it must not come up")
    assert str(failed.value).count("does not exist") == 1


def closing_get(path: bytes, user: str) -> bytes:
    return (
        b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nx-authz-user-id: " + user.encode() + b"\r\nconnection: close\r\n\r\n"
    )

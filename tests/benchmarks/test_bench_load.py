"""The model server and the clients of the benchmarks do what is told of them."""

import json
from pathlib import Path

import httpx
from benchmarks.load.echo import TOKENS, WORDS
from benchmarks.load.generator import echo_server, load_generator
from benchmarks.load.worker import Asked
from benchmarks.usage import cpu_seconds, rss_bytes
from openai import AsyncOpenAI

TURNS = [("alice", "Where do I live?"), ("bob", "What do I eat?")]


async def test_a_real_client_reads_both_forms_of_the_fixed_answer(tmp_path: Path) -> None:
    async with (
        echo_server(tmp_path) as (port, _),
        AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client,
    ):
        question = [{"role": "user", "content": "hello"}]
        whole = await client.chat.completions.create(model="qwen3", messages=question)  # type: ignore[call-overload]  # plain data
        stream = await client.chat.completions.create(model="qwen3", messages=question, stream=True)  # type: ignore[call-overload]  # plain data
        pieces = [chunk.choices[0].delta.content async for chunk in stream]
    assert whole.choices[0].message.content == "".join(pieces) == WORDS
    assert len(pieces) == TOKENS


async def test_clients_report_one_latency_for_every_answer(tmp_path: Path) -> None:
    async with echo_server(tmp_path) as (port, pid), load_generator(TURNS, tmp_path) as generator:
        whole = await generator.run(port, clients=3, seconds=0, least=50)
        streamed = await generator.run(port, clients=2, seconds=0, stream=True)
        assert cpu_seconds(pid) >= 0
        assert rss_bytes(pid) > 1_000_000
    assert len(whole["latencies"]) == len(whole["firsts"]) >= 50
    assert whole["failures"] == 0
    assert len(streamed["latencies"]) == 2
    assert len(streamed["gaps"]) == 2 * (TOKENS - 1)


def test_each_server_hears_every_turn_once_before_any_comes_again() -> None:
    said = Asked([("alice", "one"), ("bob", "two"), ("carol", "three")])
    heard = [next(said.requests(1, model="qwen3", stream=stream)) for stream in (False, True, False)]
    assert [b"one" in heard[0], b"two" in heard[1], b"three" in heard[2]] == [True] * 3
    assert b"one" in next(said.requests(2, model="qwen3", stream=False))


async def test_failures_are_counted_and_not_timed(tmp_path: Path) -> None:
    async with echo_server(tmp_path) as (port, _):
        async with httpx.AsyncClient() as client:
            broken = await client.post(f"http://127.0.0.1:{port}/", content=json.dumps({"model": "broken"}))
        assert broken.status_code == 500
        async with load_generator(TURNS, tmp_path) as generator:
            seen = await generator.run(port, clients=0, seconds=0.2, rate=200)
    assert seen["sent"] == {"streamed": 20, "whole": 12, "hung up": 4, "status 500": 2, "cut off": 2}
    assert seen["failures"] == 4
    assert seen["answered"] == 32

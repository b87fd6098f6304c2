"""Scores from a rerank endpoint, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from memrouter.config.reranking import RerankerSettings
from memrouter.errors import RerankError
from memrouter.rerankers.base import MAX_QUERY_CHARS, MAX_TEXT_CHARS
from memrouter.rerankers.endpoint import MAX_REPLY_BYTES, EndpointReranker
from memrouter.testing.upstream import Answer, Fault, Received, ScriptedUpstream

SECRET = "sk-very-secret"
TEXTS = ["The canary Figaro.", "A bicycle."]


def scored(request: Received) -> Answer:
    """Score each document by its length, the last one first, as an endpoint may."""
    documents = request.json()["documents"]
    results = [{"index": index, "relevance_score": len(text) / 100} for index, text in enumerate(documents)]
    return Answer.json({"id": "r", "results": results[::-1]})


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(scored) as running:
        yield running


@pytest.fixture
async def reranker(server: ScriptedUpstream) -> AsyncIterator[EndpointReranker]:
    settings = RerankerSettings(kind="endpoint", base_url=f"{server.url}/", model="bge-reranker")
    opened = EndpointReranker(settings, api_key=SECRET)
    yield opened
    await opened.aclose()


async def test_the_request_has_the_form_that_vllm_jina_and_cohere_share(
    server: ScriptedUpstream, reranker: EndpointReranker
) -> None:
    assert await reranker.score("my canary?", TEXTS) == [0.18, 0.1]
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/rerank")
    assert request.header("authorization") == f"Bearer {SECRET}"
    assert request.header("content-type") == "application/json"
    assert request.json() == {
        "model": "bge-reranker",
        "query": "my canary?",
        "documents": TEXTS,
        "top_n": 2,
        "return_documents": False,
    }


async def test_without_a_key_none_is_sent(server: ScriptedUpstream) -> None:
    reranker = EndpointReranker(RerankerSettings(base_url=server.url, model="m"), api_key=None)
    await reranker.score("q", ["a"])
    await reranker.aclose()
    assert server.requests[0].header("authorization") is None


async def test_nothing_to_score_asks_nobody(server: ScriptedUpstream, reranker: EndpointReranker) -> None:
    assert await reranker.score("q", []) == []
    assert server.requests == []


async def test_long_and_broken_texts_are_cut_and_mended(server: ScriptedUpstream, reranker: EndpointReranker) -> None:
    await reranker.score("q" * 5000, ["x" * 50_000, "half \ud83d"])
    sent: dict[str, Any] = server.requests[0].json()
    assert len(sent["query"]) == MAX_QUERY_CHARS
    assert [len(text) for text in sent["documents"]] == [MAX_TEXT_CHARS, 6]
    assert sent["documents"][1] == "half ?"


async def test_connections_are_kept(server: ScriptedUpstream, reranker: EndpointReranker) -> None:
    for _ in range(3):
        await reranker.score("q", TEXTS)
    assert {request.connection for request in server.requests} == {1}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer.error(500, "boom my canary"), "status 500"),
        (Answer.error(401), "status 401; check api_key"),
        (Answer.error(404), "status 404; check base_url"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "status 302"),
        (Answer.json({"results": []}), "sent 0 results"),
        (Answer.json([{"index": 0, "score": 1}]), "something else than results"),
        (Answer(body=(b"\x1f\x8b broken gzip",), headers={"Content-Encoding": "gzip"}), "no answer"),
        (Answer(body=(b"x" * (MAX_REPLY_BYTES + 1),)), "more than"),
        (Answer.fault(Fault.DISCONNECT), "no answer"),
        (Answer.fault(Fault.RESET), "no answer"),
        (Answer(headers={"Content-Type": "application/json"}, body=(b'{"resu', Fault.DISCONNECT)), "no answer"),
    ],
)
async def test_a_faulty_answer_is_a_rerank_error_without_texts_or_key(
    server: ScriptedUpstream, reranker: EndpointReranker, answer: Answer, message: str
) -> None:
    server.script(answer)
    with pytest.raises(RerankError, match=message) as caught:
        await reranker.score("my canary?", TEXTS)
    for secret in (SECRET, "canary", "bicycle", server.endpoint):
        assert secret not in str(caught.value)
    assert await reranker.score("q", TEXTS) == [0.18, 0.1]


async def test_a_server_that_is_not_there_is_a_rerank_error() -> None:
    reranker = EndpointReranker(RerankerSettings(base_url="http://127.0.0.1:1/v1", model="m"), api_key=None)
    with pytest.raises(RerankError, match="no answer"):
        await reranker.score("q", TEXTS)
    await reranker.aclose()


async def test_a_cancelled_call_leaves_the_server(server: ScriptedUpstream, reranker: EndpointReranker) -> None:
    server.script(Answer.fault(Fault.HANG))
    call = asyncio.create_task(reranker.score("q", TEXTS))
    await server.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(server.seen_disconnect.wait(), 10)


async def test_a_closed_one_says_so_and_can_be_closed_again(reranker: EndpointReranker) -> None:
    await reranker.aclose()
    await reranker.aclose()
    with pytest.raises(RerankError, match="closed"):
        await reranker.score("q", TEXTS)

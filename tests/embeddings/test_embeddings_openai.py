import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from memrouter.config.memory import EmbeddingEndpointSettings
from memrouter.embeddings.openai import OpenAIEmbedder
from memrouter.errors import EmbeddingError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "sk-very-secret"
TEXT = "a private sentence"


class Endpoint:
    """An embeddings server on 127.0.0.1: answers from its script first, then with vectors out of the texts."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.base64 = False
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.json())
        if self.script:
            return await self.script.pop(0)(request)
        return self.vectors(self.bodies[-1]["input"])

    def vectors(self, texts: list[str]) -> web.Response:
        rows = [np.array([len(text), 1, 0], dtype="<f4") for text in texts]
        data = [
            {"index": at, "embedding": base64.b64encode(row.tobytes()).decode() if self.base64 else row.tolist()}
            for at, row in enumerate(rows)
        ]
        return web.json_response({"object": "list", "data": data[::-1]})

    def embedder(self, *, api_key: str | None = KEY, **changes: Any) -> OpenAIEmbedder:
        settings = {"base_url": f"http://127.0.0.1:{self.port}/v1/", "model": "m", "dimension": 3, "timeout": 20}
        # A jitter of -1 makes the pause before a second try nothing.
        return OpenAIEmbedder(
            EmbeddingEndpointSettings.model_validate({**settings, **changes}), api_key=api_key, jitter=lambda: -1.0
        )


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    fake = Endpoint()
    app = web.Application()
    app.router.add_post("/v1/embeddings", fake.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        fake.port = server.port or 0
        yield fake


def status(code: int, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            status=code,
            text=f"{request.headers.get('Authorization')} {await request.text()}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return answer


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def expected(*texts: str) -> np.ndarray:
    rows = np.array([[len(text), 1, 0] for text in texts], dtype=np.float64)
    units: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


async def failure_of(embedder: OpenAIEmbedder) -> str:
    with pytest.raises(EmbeddingError) as failure:
        await embedder.embed([TEXT])
    await embedder.aclose()
    message = str(failure.value)
    assert KEY not in message
    assert TEXT not in message
    assert failure.value.__cause__ is None
    return message


@pytest.mark.parametrize("as_base64", [False, True])
async def test_vectors_come_back_in_order_and_of_unit_length(endpoint: Endpoint, as_base64: bool) -> None:
    endpoint.base64 = as_base64
    embedder = endpoint.embedder()
    np.testing.assert_allclose(await embedder.embed(["a", "bbb", "cc"]), expected("a", "bbb", "cc"), atol=1e-6)
    await embedder.aclose()


async def test_the_request_names_model_texts_and_key(endpoint: Endpoint) -> None:
    embedder = endpoint.embedder()
    await embedder.embed(["a", "b"])
    await embedder.aclose()
    assert endpoint.bodies == [{"model": "m", "input": ["a", "b"], "encoding_format": "base64"}]
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"


async def test_without_a_key_no_authorization_is_sent(endpoint: Endpoint) -> None:
    embedder = endpoint.embedder(api_key=None)
    await embedder.embed(["a"])
    await embedder.aclose()
    assert "Authorization" not in endpoint.headers[0]


async def test_the_dimension_is_sent_only_where_asked_for(endpoint: Endpoint) -> None:
    embedder = endpoint.embedder(send_dimension=True)
    await embedder.embed(["a"])
    await embedder.aclose()
    assert endpoint.bodies[0]["dimensions"] == 3


async def test_texts_are_sent_in_batches(endpoint: Endpoint) -> None:
    embedder = endpoint.embedder(batch_size=2)
    texts = ["a" * length for length in range(1, 6)]
    np.testing.assert_allclose(await embedder.embed(texts), expected(*texts), atol=1e-6)
    await embedder.aclose()
    assert sorted(len(body["input"]) for body in endpoint.bodies) == [1, 2, 2]


async def test_batches_under_way_are_bounded(endpoint: Endpoint) -> None:
    pair, active, peak = asyncio.Barrier(2), 0, 0

    async def meet(request: web.Request) -> web.Response:
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        await pair.wait()  # never passed by one alone
        active -= 1
        return endpoint.vectors((await request.json())["input"])

    endpoint.script = [meet] * 8
    settings = endpoint.embedder()._settings.model_copy(update={"batch_size": 1})
    embedder = OpenAIEmbedder(settings, api_key=None, concurrency=2)
    await embedder.embed(["a"] * 8)
    await embedder.aclose()
    assert peak == 2


async def test_blank_texts_are_not_sent_and_give_the_first_basis_vector(endpoint: Endpoint) -> None:
    embedder = endpoint.embedder()
    rows = await embedder.embed(["", "abc", " \n"])
    np.testing.assert_allclose(rows[[0, 2]], [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(rows[[1]], expected("abc"), atol=1e-6)
    assert (await embedder.embed([])).shape == (0, 3)
    await embedder.aclose()
    assert [body["input"] for body in endpoint.bodies] == [["abc"]]


async def test_long_texts_and_lone_surrogates_are_made_sendable(endpoint: Endpoint) -> None:
    embedder = endpoint.embedder()
    await embedder.embed(["x" * 1_000_000, "a\ud800"])
    await embedder.aclose()
    assert endpoint.bodies[0]["input"] == ["x" * 16_384, "a?"]


async def test_a_large_answer_is_read_like_a_small_one(endpoint: Endpoint) -> None:
    texts = ["a" * (1 + number % 7) for number in range(2_000)]
    embedder = endpoint.embedder(batch_size=2_000)
    np.testing.assert_allclose(await embedder.embed(texts), expected(*texts), atol=1e-6)
    await embedder.aclose()


@pytest.mark.parametrize("first", [status(429, Retry_After="0"), status(500), status(503, Retry_After="soon"), hang_up])
async def test_a_passing_failure_is_tried_once_more(endpoint: Endpoint, first: Answer) -> None:
    endpoint.script = [first]
    embedder = endpoint.embedder()
    np.testing.assert_allclose(await embedder.embed(["abc"]), expected("abc"), atol=1e-6)
    await embedder.aclose()
    assert len(endpoint.bodies) == 2


async def test_a_second_failure_is_final(endpoint: Endpoint) -> None:
    endpoint.script = [status(500), status(502), status(500)]
    assert "status 502" in await failure_of(endpoint.embedder())
    assert len(endpoint.bodies) == 2


async def test_a_pause_longer_than_the_timeout_is_not_waited_for(endpoint: Endpoint) -> None:
    endpoint.script = [status(429, Retry_After="3600")]
    assert "status 429" in await failure_of(endpoint.embedder())
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(
    ("code", "hint"), [(400, "status 400"), (401, "api_key_env"), (404, "base_url"), (307, "status 307")]
)
async def test_a_lasting_refusal_is_not_tried_again(endpoint: Endpoint, code: int, hint: str) -> None:
    endpoint.script = [status(code, Location="/v1/embeddings"), status(500)]
    assert hint in await failure_of(endpoint.embedder())
    assert len(endpoint.bodies) == 1


async def test_an_unusable_answer_is_not_tried_again(endpoint: Endpoint) -> None:
    endpoint.script = [status(200), status(500)]
    assert "something else" in await failure_of(endpoint.embedder())
    assert len(endpoint.bodies) == 1


async def test_a_wrong_dimension_names_the_fix(endpoint: Endpoint) -> None:
    assert "dimension to 3" in await failure_of(endpoint.embedder(dimension=4))


async def test_silence_ends_with_the_timeout(endpoint: Endpoint) -> None:
    async def silent(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    endpoint.script = [silent]
    assert "within 0.2 s" in await failure_of(endpoint.embedder(timeout=0.2))


async def test_nobody_there_is_an_embedding_error(endpoint: Endpoint, unused_tcp_port: int) -> None:
    embedder = endpoint.embedder(base_url=f"http://127.0.0.1:{unused_tcp_port}/v1")
    assert "no answer" in await failure_of(embedder)


async def test_one_failed_batch_fails_the_call(endpoint: Endpoint) -> None:
    endpoint.script = [status(400)]
    embedder = endpoint.embedder(batch_size=1)
    with pytest.raises(EmbeddingError, match="status 400"):
        await embedder.embed(["a", "b", "c"])
    await embedder.aclose()


async def test_after_closing_it_refuses_and_closing_again_is_harmless(endpoint: Endpoint) -> None:
    embedder = endpoint.embedder()
    await embedder.embed(["a"])
    await embedder.aclose()
    await embedder.aclose()
    assert "closed" in await failure_of(embedder)


async def test_a_given_session_is_used_and_left_open(endpoint: Endpoint) -> None:
    async with aiohttp.ClientSession(headers={"x-mark": "1"}) as session:
        embedder = OpenAIEmbedder(endpoint.embedder()._settings, api_key=None, session=session)
        await embedder.embed(["a"])
        await embedder.aclose()
        assert not session.closed
    assert endpoint.headers[0]["x-mark"] == "1"

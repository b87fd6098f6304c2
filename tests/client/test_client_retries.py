"""When a client sends a request again, and which error it ends with, against a scripted server."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.client import AsyncMemrouterClient, MemrouterClient, Retries
from memrouter.client.attempts import Attempt
from memrouter.client.calls import stats
from memrouter.client.exported import ExportReader
from memrouter.client.faults import error_of, retry_after
from memrouter.errors import (
    BodyTooLarge,
    DamagedData,
    EmbeddingError,
    Forbidden,
    InvalidRequest,
    MemrouterError,
    NotFound,
    Overloaded,
    RateLimited,
    RouterFailed,
    RouterUnreachable,
    StoreUnavailable,
    Unauthenticated,
)
from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream

QUICK = Retries(attempts=3, first_seconds=0.0, most_seconds=2.0)
STATS = {"total": 1, "by_type": {}, "by_source": {}, "content_bytes": 2, "oldest": None, "newest": None}
MEMORY = {
    "id": "mem_1",
    "content": "x",
    "user_id": "alice",
    "type": "semantic",
    "source": "api",
    "trust": "direct_user",
    "importance": 0.5,
    "created_at": "2026-01-01T00:00:00.000Z",
    "updated_at": "2026-01-01T00:00:00.000Z",
    "something_new": True,
}


def refusal(status: int, code: str, *, after: str = "0") -> Answer:
    body = {"error": {"message": "no", "type": "t", "code": code, "param": None}}
    return Answer(status, {"content-type": "application/json", "retry-after": after}, body=(json.dumps(body).encode(),))


BUSY = refusal(503, "store_unavailable")
LIMITED = refusal(429, "rate_limit_exceeded")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(Answer.json(STATS)) as scripted:
        yield scripted


@pytest.fixture
async def client(server: ScriptedUpstream) -> AsyncIterator[AsyncMemrouterClient]:
    async with AsyncMemrouterClient(server.url, api_key="k", retries=QUICK, rng=Random(1)) as opened:
        yield opened


@pytest.mark.parametrize("first", [BUSY, LIMITED, Answer.fault(Fault.RESET), Answer.fault(Fault.DISCONNECT)])
async def test_a_repeatable_call_is_sent_again(
    client: AsyncMemrouterClient, server: ScriptedUpstream, first: Answer
) -> None:
    server.script(first)
    assert (await client.stats()).total == 1
    assert len(server.requests) == 2
    assert server.requests[1].header("authorization") == "Bearer k"


async def test_an_undo_is_sent_again_only_where_it_was_not_begun(
    client: AsyncMemrouterClient, server: ScriptedUpstream
) -> None:
    server.script(LIMITED, Answer.json(MEMORY))
    assert (await client.undo("mem_1")).id == "mem_1"
    server.script(BUSY)
    with pytest.raises(StoreUnavailable):
        await client.undo("mem_1")
    server.script(Answer.fault(Fault.RESET))
    with pytest.raises(RouterUnreachable):
        await client.undo("mem_1")
    assert len(server.requests) == 4


async def test_it_gives_up_after_its_attempts(client: AsyncMemrouterClient, server: ScriptedUpstream) -> None:
    server.script(*[BUSY] * 5)
    with pytest.raises(StoreUnavailable):
        await client.stats()
    assert len(server.requests) == 3


async def test_a_wait_that_is_too_long_is_left_to_the_caller(
    client: AsyncMemrouterClient, server: ScriptedUpstream
) -> None:
    server.script(refusal(429, "rate_limit_exceeded", after="60"))
    with pytest.raises(RateLimited) as caught:
        await client.stats()
    assert caught.value.retry_after == 60
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502])
async def test_other_errors_are_not_repeated(
    client: AsyncMemrouterClient, server: ScriptedUpstream, status: int
) -> None:
    server.script(refusal(status, "not_found"))
    with pytest.raises(MemrouterError):
        await client.stats()
    assert len(server.requests) == 1


async def test_a_deletion_whose_answer_was_lost_is_done(client: AsyncMemrouterClient, server: ScriptedUpstream) -> None:
    server.script(Answer.fault(Fault.RESET), refusal(404, "not_found"))
    await client.delete("mem_1")
    server.script(LIMITED, refusal(404, "not_found"))
    with pytest.raises(NotFound):
        await client.delete("mem_1")


async def test_a_router_that_is_not_there_is_named(server: ScriptedUpstream) -> None:
    await server.aclose()
    async with AsyncMemrouterClient(server.url, retries=QUICK) as client:
        with pytest.raises(RouterUnreachable, match="cannot be reached"):
            await client.add("x")


async def test_silence_ends_with_the_timeout(server: ScriptedUpstream) -> None:
    server.script(Answer.fault(Fault.HANG))
    async with AsyncMemrouterClient(server.url, timeout=0.2, retries=Retries(attempts=1)) as client:
        with pytest.raises(RouterUnreachable, match="in time"):
            await client.stats()


async def test_a_body_in_pieces_is_not_sent_again(client: AsyncMemrouterClient, server: ScriptedUpstream) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    server.script(BUSY)
    with pytest.raises(StoreUnavailable):
        await client.import_(pieces())
    assert len(server.requests) == 1


async def test_a_file_is_sent_again_from_its_start(
    client: AsyncMemrouterClient, server: ScriptedUpstream, tmp_path: Path
) -> None:
    (tmp_path / "lines").write_bytes(b"12345")
    server.script(BUSY, Answer.json({}))
    with pytest.raises(RouterFailed, match="not one of memrouter"):
        await client.import_(tmp_path / "lines")
    assert [request.body for request in server.requests] == [b"12345", b"12345"]


async def test_connections_are_used_again(client: AsyncMemrouterClient, server: ScriptedUpstream) -> None:
    for _ in range(3):
        await client.stats()
    assert {request.connection for request in server.requests} == {1}


async def test_something_else_than_a_router_is_told_apart(
    client: AsyncMemrouterClient, server: ScriptedUpstream
) -> None:
    server.script(Answer(200, body=(b"<html>",)), Answer(502, body=(b"<html>",)))
    for _ in range(2):
        with pytest.raises(RouterFailed):
            await client.stats()


EXPORT = [b'{"kind":"manifest"}\n', b'{"kind":"trailer","count":0,"sha256":"%s"}\n']


@pytest.mark.parametrize(
    "body",
    [
        b"",
        EXPORT[0],
        b'{"kind":"trailer","count":0,"sha256":"00"}\n',
        EXPORT[0] + b'{"kind":"memory"}\n',
        EXPORT[0] + b'{"kind":"trailer","count":0,"sha256":"%s"}\n' % (b"0" * 64),
        b"x" * 1_048_580,
    ],
)
async def test_an_export_that_is_not_whole_is_no_file(
    client: AsyncMemrouterClient, server: ScriptedUpstream, tmp_path: Path, body: bytes
) -> None:
    server.script(Answer(200, body=(body,)), Answer(200, body=(body,)))
    with pytest.raises(DamagedData):
        await client.export_to(tmp_path / "memories.ndjson")
    with pytest.raises(DamagedData):
        _ = [memory async for memory in client.export()]
    assert list(tmp_path.iterdir()) == []


async def test_an_export_that_breaks_off_says_so(client: AsyncMemrouterClient, server: ScriptedUpstream) -> None:
    server.script(BUSY, Answer.stream(EXPORT[0], Fault.RESET))
    with pytest.raises(RouterUnreachable, match="broke off"):
        _ = [memory async for memory in client.export()]


def test_the_blocking_client_tries_again_too() -> None:
    with MemrouterClient("http://127.0.0.1:9", retries=Retries(attempts=2, first_seconds=0), timeout=1) as client:
        with pytest.raises(RouterUnreachable):
            client.stats()
        with pytest.raises(RouterUnreachable):
            list(client.export())


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", InvalidRequest),
        (401, "unauthenticated", Unauthenticated),
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (404, "route_not_found", RouterFailed),
        (413, "body_too_large", BodyTooLarge),
        (422, "damaged_data", DamagedData),
        (429, "rate_limit_exceeded", RateLimited),
        (503, "store_unavailable", StoreUnavailable),
        (503, "embedding_failed", EmbeddingError),
        (503, "overloaded", Overloaded),
        (500, "internal_error", RouterFailed),
    ],
)
def test_a_refusal_is_the_error_of_the_library(status: int, code: str, kind: type[MemrouterError]) -> None:
    body = {"error": {"message": "line 3: broken", "type": "t", "code": code, "param": "p"}}
    assert type(error_of(status, json.dumps(body).encode(), {})) is kind


@given(st.integers(400, 599), st.binary(max_size=200), st.text(max_size=20))
def test_no_refusal_is_too_odd_for_an_error(status: int, body: bytes, after: str) -> None:
    assert isinstance(error_of(status, body, {"retry-after": after}), MemrouterError)


@given(st.text(max_size=12))
def test_a_wait_is_within_its_bounds(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or 0 <= seconds <= 3600


@given(st.integers(1, 100), st.one_of(st.none(), st.floats(0, 100)), st.integers())
def test_a_pause_is_within_its_bounds(tried: int, asked: float | None, seed: int) -> None:
    pause = Retries(attempts=50).pause(tried, asked=asked, rng=Random(seed))
    if tried >= 50 or (asked or 0) > 8.0:
        assert pause is None
    else:
        assert pause is not None
        assert min(asked or 0, 8.0) <= pause <= 8.0


@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_is_no_export_is_damaged_however_it_arrives(data: bytes, size: int) -> None:
    reader = ExportReader()

    def read() -> None:
        for start in range(0, len(data), size):
            list(reader.take(data[start : start + size]))
        reader.end()

    with pytest.raises(DamagedData):
        read()


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"attempts": 0}, {"first_seconds": 9.0}):
        with pytest.raises(ValueError, match=r"seconds|attempts"):
            Retries(**wrong)
    with pytest.raises(ValueError, match="timeout"):
        AsyncMemrouterClient(timeout=float("nan"))
    assert Attempt(stats(), Retries(), Random(1)).after_answer(200, b"", {}) is None

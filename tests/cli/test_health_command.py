"""``memrouter health`` tells a router that can serve from everything else."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from memrouter.cli.health import _is_report, _lines
from memrouter.cli.main import app

OK = {"status": "ok", "checks": {"memory_store": {"status": "ok", "detail": ""}}}
DEGRADED = {"status": "degraded", "checks": {"memory_store": {"status": "degraded", "detail": "gone \x1b[2J"}}}
FAILED = {"status": "failed", "checks": {"accepting_requests": {"status": "failed", "detail": "stopping"}}}


@asynccontextmanager
async def answering(status: str, body: str) -> AsyncIterator[str]:
    """Give the address of a server that answers everything with one response."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body.encode())}\r\nconnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def ask(*args: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["health", *args])


@pytest.mark.parametrize(
    ("status", "report", "exit_status"),
    [("200 OK", OK, 0), ("200 OK", DEGRADED, 0), ("503 Service Unavailable", FAILED, 1)],
    ids=["ok", "degraded", "failed"],
)
async def test_exit_status_is_0_as_long_as_the_router_can_serve(status: str, report: object, exit_status: int) -> None:
    async with answering(status, json.dumps(report)) as url:
        result = await ask("--url", url, "--json")
    assert result.exit_code == exit_status
    assert json.loads(result.stdout) == report


async def test_parts_that_are_not_well_are_named_without_control_characters() -> None:
    async with answering("200 OK", json.dumps(DEGRADED)) as url:
        result = await ask("--url", url + "/")
    assert result.stdout.splitlines() == ["degraded", "memory_store: degraded: gone  [2J"]


@pytest.mark.parametrize(
    ("status", "body"),
    [("404 Not Found", "{}"), ("200 OK", "<html>"), ("200 OK", '{"status": "ok"}'), ("200 OK", '{"checks": {}}')],
)
async def test_an_answer_of_something_else_is_a_failure(status: str, body: str) -> None:
    async with answering(status, body) as url:
        result = await ask("--url", url)
    assert result.exit_code == 1
    assert "memrouter" in result.stdout


async def test_no_answer_is_a_failure(unused_url: Callable[[], Awaitable[str]]) -> None:
    result = await ask("--url", await unused_url())
    assert result.exit_code == 1
    assert "refused" in result.stdout


@pytest.fixture
def unused_url() -> Callable[[], Awaitable[str]]:
    async def find() -> str:
        async with answering("200 OK", "") as url:
            return url

    return find


async def test_an_address_that_is_not_http_is_refused() -> None:
    result = await ask("--url", "file:///etc")
    assert result.exit_code == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=9),
        lambda inner: st.dictionaries(st.sampled_from(["status", "checks", "detail", "x"]), inner, max_size=4),
    )
)
def test_whatever_passes_for_a_report_can_be_shown(body: object) -> None:
    if _is_report(body):
        assert isinstance(body, dict)
        assert all(line.isprintable() for line in _lines(body))

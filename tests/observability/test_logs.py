"""A log is lines of JSON, whatever is logged, and holds no message of a foreign exception."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import StoreUnavailable
from memrouter.observability.logs import (
    MUST_BE_WRITTEN,
    JsonFormatter,
    LogHandler,
    bind_request_id,
    configure_logging,
    describe_failure,
    release_request_id,
)

SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "aiohttp.server", "aiohttp.client", "aiohttp.web")
LOGGERS = ("", *SERVER_LOGGERS, "uvicorn.access", "aiohttp.access", "mcp", "sse_starlette")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Configured logging; everything is as before afterwards."""
    before = [
        (logger, logger.handlers[:], logger.level, logger.propagate, logger.disabled)
        for logger in map(logging.getLogger, LOGGERS)
    ]
    opened = io.StringIO()
    configure_logging("info", opened)
    yield opened
    for logger, handlers, level, propagate, disabled in before:
        logger.handlers[:] = handlers
        logger.level, logger.propagate, logger.disabled = level, propagate, disabled
    logging.getLogger().setLevel(before[0][2])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_with_its_fields(stream: io.StringIO) -> None:
    logging.getLogger("memrouter.x").info("stored %d", 3, extra={"backend": "sqlite", "ms": 1.5, "ok": True})
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "memrouter.x",
        "message": "stored 3",
        "backend": "sqlite",
        "ms": 1.5,
        "ok": True,
    }


def test_below_the_level_nothing_is_written(stream: io.StringIO) -> None:
    logging.getLogger("memrouter.x").debug("quiet")
    assert stream.getvalue() == ""


def test_configuring_again_replaces_the_first(stream: io.StringIO) -> None:
    second = io.StringIO()
    configure_logging("warning", second)
    logging.getLogger("memrouter.x").warning("once")
    assert stream.getvalue() == ""
    assert len(lines(second)) == 1


def test_the_servers_write_here_too_but_not_their_access_logs(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("aiohttp.server").error("odd")
    logging.getLogger("uvicorn.access").info("GET /?q=secret")
    logging.getLogger("aiohttp.access").info("GET /?q=secret")
    assert [line["message"] for line in lines(stream)] == ["started", "odd"]


async def test_the_request_id_follows_into_tasks_and_not_out_of_them(stream: io.StringIO) -> None:
    logger = logging.getLogger("memrouter.x")

    async def work(name: str) -> None:
        token = bind_request_id(name)
        await asyncio.sleep(0)
        logger.info("working")
        release_request_id(token)
        logger.info("done")

    await asyncio.gather(work("a"), work("b"))
    logger.info("outside")
    assert [line.get("request_id") for line in lines(stream)] == ["a", None, "b", None, None]


def test_control_characters_cannot_forge_a_line(stream: io.StringIO) -> None:
    logging.getLogger("memrouter.x").warning('a\n{"level":"info"}\r\x1b[31m\u2028\x00 \ud800')
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().isascii()
    assert lines(stream)[0]["message"].startswith("a\n")


def test_arguments_that_do_not_fit_do_not_lose_the_record() -> None:
    line = JsonFormatter().format(logging.makeLogRecord({"msg": "%d of %d", "args": ("one",)}))
    assert json.loads(line)["message"] == "%d of %d (arguments that do not fit)"


def test_extra_fields_cannot_replace_the_standard_ones(stream: io.StringIO) -> None:
    logging.getLogger("memrouter.x").info("true", extra={"level": "fake", "logger": "fake", "time": "fake"})
    assert (lines(stream)[0]["level"], lines(stream)[0]["logger"]) == ("info", "memrouter.x")


def test_a_traceback_names_the_place_and_kind_but_not_a_foreign_message(stream: io.StringIO) -> None:
    def fail() -> None:
        try:
            int("my secret")
        except ValueError as error:
            raise StoreUnavailable("the file is locked") from error

    try:
        fail()
    except StoreUnavailable:
        logging.getLogger("memrouter.x").exception("failed")
    text = lines(stream)[0]["exception"]
    assert "StoreUnavailable: the file is locked" in text
    assert "builtins.ValueError" in text
    assert "in fail" in text
    assert "my secret" not in text.replace('int("my secret")', "")


def test_a_chain_of_failures_that_bites_its_tail_ends() -> None:
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    assert describe_failure(one) == "builtins.ValueError\ncaused by:\nbuiltins.KeyError"


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(Hostile)


@given(
    message=st.text() | values,
    arguments=st.tuples() | st.tuples(values) | st.tuples(values, values),
    extra=st.dictionaries(st.text(max_size=10), values | st.lists(values, max_size=2), max_size=4),
)
def test_any_record_is_one_line_of_json(message: object, arguments: tuple[object, ...], extra: dict[str, Any]) -> None:
    record = logging.LogRecord("name", logging.INFO, "file.py", 1, message, arguments, None)
    for key, value in extra.items():
        record.__dict__.setdefault(key, value)
    line = JsonFormatter().format(record)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["logger"] == "name"


def test_an_enormous_number_is_named_not_written() -> None:
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO", "size": 10**5000, "share": float("nan")})
    line = json.loads(JsonFormatter().format(record))
    assert (line["size"], line["share"]) == ("(int)", "nan")


def test_loggers_that_quote_whole_messages_are_never_asked_for_everything(stream: io.StringIO) -> None:
    configure_logging("debug", stream)
    logging.getLogger("mcp.client.streamable_http").debug("Sending client message: my secret")
    logging.getLogger("memrouter.anything").debug("heard")
    assert "secret" not in stream.getvalue()
    assert "heard" in stream.getvalue()


def test_a_record_that_must_be_written_raises_where_it_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    gone = io.StringIO()
    handler = LogHandler(gone)
    handler.setFormatter(JsonFormatter())
    ordinary, required = (logging.makeLogRecord({"msg": "seen"} | more) for more in ({}, {MUST_BE_WRITTEN: True}))
    handler.handle(required)
    assert MUST_BE_WRITTEN not in gone.getvalue()
    gone.close()
    with pytest.raises(ValueError, match="closed file"):
        handler.handle(required)
    handler.handle(ordinary)
    assert "Logging error" in capsys.readouterr().err

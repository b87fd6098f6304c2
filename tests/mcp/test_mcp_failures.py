"""What a model is told when something fails, and what it is not."""

import logging

import pytest

from memrouter.errors import EmbeddingError, Forbidden, InvalidRequest, SchemaMismatch, StoreUnavailable
from memrouter.mcp.failures import explain

SECRET = "valkey-7.internal:6379 said 'the user is allergic'"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreUnavailable(SECRET), "the memory store cannot serve now; try again"),
        (EmbeddingError(SECRET), "the text cannot be embedded now; try again"),
        (SchemaMismatch(SECRET), "the memory store cannot do this; the server's log has more"),
        (TimeoutError(), "this took too long and was given up; try again"),
        (ValueError(SECRET), "internal error; the server's log has more"),
        (InvalidRequest("is too long", param="content"), "content: is too long"),
        (InvalidRequest("content is empty", param="content"), "content is empty"),
        (Forbidden("not for you"), "not for you"),
    ],
)
def test_the_model_is_told_what_to_do_and_nothing_of_what_lies_behind(error: Exception, told: str) -> None:
    assert explain(error) == told


def test_only_failures_of_the_server_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        explain(InvalidRequest("no"))
        assert caplog.records == []
        explain(StoreUnavailable("down"))
        explain(ValueError("bug"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]

"""What a failed call tells the model: our own clear messages, and nothing of the servers behind."""

import logging
from typing import Final

from memrouter.errors import EmbeddingError, RequestError, StoreError, StoreUnavailable

logger = logging.getLogger(__name__)

_SAID: Final = (
    (StoreUnavailable, "the memory store cannot serve now; try again"),
    (EmbeddingError, "the text cannot be embedded now; try again"),
    (StoreError, "the memory store cannot do this; the server's log has more"),
    (TimeoutError, "this took too long and was given up; try again"),
)


def explain(error: Exception) -> str:
    """Return what the caller is told of an error, which is logged where it is one of the server's side."""
    if isinstance(error, RequestError):
        return f"{error.param}: {error}" if error.param and not str(error).startswith(error.param) else str(error)
    for kind, message in _SAID:
        if isinstance(error, kind):
            logger.warning("an MCP call failed: %s: %s", kind.__name__, error)
            return message
    logger.error("an MCP call failed unexpectedly", exc_info=error)
    return "internal error; the server's log has more"

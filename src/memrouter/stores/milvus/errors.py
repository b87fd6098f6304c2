"""The one border where errors of the client become errors of memrouter."""

import re

from memrouter.errors import StoreUnavailable
from memrouter.stores.milvus.address import SECTION

_AUTH = re.compile(r"auth check failure|unauthenticated|invalid user|incorrect (?:user|password)", re.IGNORECASE)
_DENIED = re.compile(r"permission ?deny|permission denied|privilege", re.IGNORECASE)
_NO_DATABASE = re.compile(r"database not found", re.IGNORECASE)
_NO_COLLECTION = re.compile(r"can't find collection|collection .{0,200}not (?:found|exist)", re.IGNORECASE | re.DOTALL)
_NOT_LOADED = re.compile(r"not (?:fully )?loaded", re.IGNORECASE)
_LIMITED = re.compile(r"rate ?limit|quota|force ?deny|memory (?:quota|limit)|disk (?:quota|full)", re.IGNORECASE)
_TOO_LARGE = re.compile(r"larger than max|message (?:is )?too large|exceeds? .{0,40}max", re.IGNORECASE)

_REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (_AUTH, f"refuses the credentials; check {SECTION}.token, or .username and .password"),
    (_DENIED, "does not allow this user what memrouter needs; see docs/milvus.md for the privileges"),
    (_NO_DATABASE, f"does not have the database; create it, or correct {SECTION}.database"),
    (_NO_COLLECTION, "does not have the collection any more; restart memrouter, which makes it"),
    (_NOT_LOADED, "has not loaded the collection; try again later, or restart memrouter, which loads it"),
    (_LIMITED, "has reached a limit of its memory, disk or request rate; see quotaAndLimits in its configuration"),
    (_TOO_LARGE, "refuses a message of this size; send fewer memories in one call"),
)


class ServerRefused(StoreUnavailable):
    """The server answered a call with an error.

    Attributes:
        collection_missing: Whether it does not have the collection.
    """

    def __init__(self, message: str, *, collection_missing: bool = False) -> None:
        super().__init__(message)
        self.collection_missing = collection_missing


def refused(reply: str, *, place: str, code: object) -> ServerRefused:
    """Return the error for what the client raised.

    The server's own words are left out of the message, since they may quote an expression with a user's id.

    Args:
        reply: The words of the client or server.
        place: Where the server is, for the message.
        code: The error's code.
    """
    for pattern, reason in _REASONS:
        if pattern.search(reply):
            return ServerRefused(f"Milvus at {place} {reason}", collection_missing=pattern is _NO_COLLECTION)
    return ServerRefused(f"Milvus at {place} refused a call (code {getattr(code, 'name', code)}); see its log")


def unreachable(*, place: str, timeout: float) -> StoreUnavailable:
    """Return the error for a server that gave no answer within ``timeout`` seconds."""
    return StoreUnavailable(
        f"Milvus at {place} cannot be reached or did not answer within {timeout:g} s; see that it runs, correct "
        f"{SECTION}.address, or raise {SECTION}.timeout"
    )

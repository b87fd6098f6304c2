"""One call on its way over several tries; what both clients share. No I/O here."""

import math
from collections.abc import Mapping
from random import Random
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from memrouter.client.answers import Deletion
from memrouter.client.calls import Call
from memrouter.client.faults import error_of, retry_after
from memrouter.client.retries import REFUSED, Retries
from memrouter.errors import InvalidRequest, MemrouterError, RouterFailed, RouterUnreachable
from memrouter.models.memory import check_identity

T = TypeVar("T")

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def router_root(url: str) -> str:
    """Return the root of a router: a trailing ``/v1``, as other clients want it, is left out.

    Raises:
        InvalidRequest: Not the address of an HTTP server.
    """
    root = url.rstrip("/").removesuffix("/v1")
    try:
        parsed = urlsplit(root)
        usable = parsed.scheme in ("http", "https") and bool(parsed.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidRequest("base_url must be like http://127.0.0.1:8888", param="base_url")
    return root


def sent_headers(
    headers: Mapping[str, str], *, api_key: str | None, user: str | None, project: str | None
) -> list[tuple[bytes, bytes]]:
    """Return what is sent with every request: who is asking, in UTF-8, and further headers.

    Raises:
        InvalidRequest: One of them cannot be sent.
    """
    who = {
        "authorization": None if api_key is None else f"Bearer {api_key}",
        "x-authz-user-id": None if user is None else check_identity(user, param="user"),
        "x-authz-project-id": None if project is None else check_identity(project, param="project"),
    }
    named = {**headers, **{name: value for name, value in who.items() if value is not None}}
    if any("\n" in value or "\r" in value or "\0" in value for value in named.values()):
        raise InvalidRequest("a header or api_key holds a line end", param="headers")
    return [(name.encode("ascii"), value.encode()) for name, value in named.items()]


class Attempt(Generic[T]):
    """The tries of one call.

    Args:
        call: What is asked for.
        retries: How often and when.
        rng: Spreads the pauses.
        again: Whether the body can be sent again.
    """

    def __init__(self, call: Call[T], retries: Retries, rng: Random, *, again: bool = True) -> None:
        self._call = call
        self._retries = retries
        self._rng = rng
        self._again = again
        self._tried = 0
        self._lost = False

    def after_failure(self, error: httpx2.TransportError) -> float:
        """Return the pause after which to try again.

        Raises:
            RouterUnreachable: It is not to be tried again.
        """
        self._tried += 1
        sent = not isinstance(error, _NEVER_SENT)
        self._lost = self._lost or sent
        pause = self._pause(None) if self._call.repeatable or not sent else None
        if pause is None:
            what = "no answer came in time" if isinstance(error, httpx2.TimeoutException) else str(error)
            raise RouterUnreachable(f"the router cannot be reached: {what or type(error).__name__}") from error
        return pause

    def after_answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> float | None:
        """Return the pause after which to try again; None where the answer is one of success.

        Raises:
            MemrouterError: The answer is an error for good.
        """
        self._tried += 1
        if 200 <= status < 300 or (status == 404 and self._lost and self._call.gone_is_done):
            return None
        # A 429 was not begun; of a 503 that is not always known.
        may = status == 429 or (status in REFUSED and self._call.repeatable)
        asked = retry_after(headers)
        pause = self._pause(asked) if may else None
        if pause is None:
            raise error_of(status, body, headers)
        self._lost = self._lost or status != 429
        return pause

    def decoded(self, status: int, body: bytes) -> T:
        """Return the answer.

        Raises:
            RouterFailed: It is not what a router answers.
        """
        if status == 404 and self._call.answer is Deletion:
            return self._call.answer()
        try:
            return msgspec.json.decode(body, type=self._call.answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise RouterFailed(
                "the answer is not one of memrouter; is base_url the address of a router?", status=status, code=""
            ) from None

    def _pause(self, asked: float | None) -> float | None:
        return self._retries.pause(self._tried, asked=asked, rng=self._rng) if self._again else None


def unreadable(error: httpx2.HTTPError) -> MemrouterError:
    """Return the error for a stream that broke off."""
    return RouterUnreachable(f"the connection to the router broke off: {str(error) or type(error).__name__}")


def check_timeout(seconds: float) -> float:
    """Return a timeout.

    Raises:
        ValueError: Not a positive, finite number.
    """
    if not 0 < seconds < math.inf:
        msg = "timeout must be a positive number of seconds"
        raise ValueError(msg)
    return seconds

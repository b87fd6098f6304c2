"""Which headers cross the router, in both directions. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence

HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
FRAMING = HOP_BY_HOP | {"content-length", "accept-encoding", "expect"}
"""Headers that describe one connection or one body."""
NO_BODY = frozenset({204, 304})
"""Statuses of answers that end with their headers, whatever length these tell."""
_CONTROL = frozenset({"cookie", "host", "x-disable-router-memory"})
_NOT_FORWARDED = FRAMING | _CONTROL
_CONTROL_PREFIX = "x-authz-"
_OWN_ANSWERS = frozenset(
    {
        "x-memory-count",
        "x-memory-latency-ms",
        "x-memory-status",
        "x-router-overhead-ms",
        "x-vsr-selected-decision",
        "x-vsr-selected-model",
    }
)
"""What the router says of itself; a backend that is a router too would say it a second time."""
_NOT_RELAYED = frozenset(name.encode() for name in HOP_BY_HOP | _OWN_ANSWERS | {"set-cookie"})
_CORS_PREFIX = b"access-control-"
"""Which web pages may read an answer is the router's to say: many model servers allow all of them."""
_OWN_KEY = re.compile(r"(?<![A-Za-z0-9])mr_[a-z2-7]{12}_", re.ASCII)
"""Where an API key of memrouter stands, whole or cut, in whatever header."""


def forwardable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the client's headers that a backend may see, names in lower case.

    Left out are hop-by-hop headers (RFC 9110, 7.6.1) with those that Connection names, headers that describe this one
    connection or body, the router's own control headers, cookies, which are for the router or the proxy before it, and
    every header that holds one of its API keys. Values are text as ASGI servers give it, Latin-1; those that are really
    UTF-8 come back as such, so that a client which writes UTF-8 sends the same bytes as without router.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    dropped = _NOT_FORWARDED | _listed(lowered["connection"]) if "connection" in lowered else _NOT_FORWARDED
    return {
        name: _as_sent(value)
        for name, value in lowered.items()
        if name not in dropped and not name.startswith(_CONTROL_PREFIX) and not _OWN_KEY.search(value)
    }


def outgoing(headers: Mapping[str, str], *, private: Collection[str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of one upstream request.

    Args:
        headers: End-to-end headers, names in lower case; what would break the framing of the body is left out.
        private: Names in lower case that no backend sees.
        own: The backend's headers, names in lower case; they replace ``headers`` of the same name.
    """
    dropped = FRAMING.union(private)
    kept = {name: value for name, value in headers.items() if name not in dropped}
    return {"content-type": "application/json", **kept, **own, "accept-encoding": "identity"}


def relayable(headers: Sequence[tuple[bytes, bytes]], *, status: int) -> list[tuple[bytes, bytes]]:
    """Return a backend's headers that the client may see, in order, names in lower case.

    Left out are hop-by-hop headers, those about web pages of other origins, those that the router adds itself, and
    cookies: they are for whoever has the backend's key, and a browser would keep them for the router's own pages.
    ``content-length`` and ``content-encoding`` stay, because the body is relayed unchanged; the length goes where the
    status says that there is no body.
    """
    lowered = [(name.lower(), value) for name, value in headers]
    connection = b",".join([value for name, value in lowered if name == b"connection"])
    dropped = _NOT_RELAYED | {b"content-length"} if status in NO_BODY else _NOT_RELAYED
    if connection:
        dropped |= {name.encode("latin-1") for name in _listed(connection.decode("latin-1"))}
    return [(name, value) for name, value in lowered if name not in dropped and not name.startswith(_CORS_PREFIX)]


def _listed(connection: str) -> set[str]:
    return {name.strip().lower() for name in connection.split(",")}


def _as_sent(value: str) -> str:
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value

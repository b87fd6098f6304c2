"""How a backend is reached: the beginning of its requests, the headers that it gets, the connections to its server."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from memrouter.upstream.backend import Backend
from memrouter.upstream.connections import Connections
from memrouter.upstream.headers import FRAMING


@dataclass(frozen=True, slots=True)
class Target:
    """A backend, ready to be asked.

    Attributes:
        backend: The backend.
        start: Request line and Host header.
        own: Headers that it gets besides the client's, names in lower case.
        private: Names of headers, in lower case, that it does not get.
        connections: To its server.
    """

    backend: Backend
    start: bytes
    own: Mapping[str, str]
    private: frozenset[str]
    connections: Connections


class Targets:
    """Makes backends ready; those on one server share its connections.

    Args:
        private: Names of headers, in lower case, that no backend gets.
        most: Connections to one server that may be in use at once.
        patience: Seconds that a new connection may take.
    """

    def __init__(self, *, private: frozenset[str], most: int, patience: float) -> None:
        self._private = private
        self._most = most
        self._patience = patience
        self._servers: dict[tuple[str, str, int], Connections] = {}

    def of(self, backend: Backend) -> Target:
        """Return a backend, ready to be asked."""
        own = {name: value for name, value in backend.headers.items() if name not in FRAMING}
        host = own.pop("host", backend.url.host_port_subcomponent)
        return Target(
            backend,
            start=f"POST {backend.url.raw_path_qs} HTTP/1.1\r\nhost: {host}\r\n".encode(),
            own=own,
            private=self._private | backend.replaced,
            connections=self._connections(backend),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for connections in self._servers.values():
            await connections.aclose()

    def _connections(self, backend: Backend) -> Connections:
        url = backend.url
        server = url.scheme, url.raw_host or "", url.port or 0
        if server not in self._servers:
            tls = _tls() if url.scheme == "https" else None
            self._servers[server] = Connections(*server[1:], tls=tls, most=self._most, patience=self._patience)
        return self._servers[server]


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

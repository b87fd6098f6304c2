"""Who is calling: the one place where identity is decided."""

import ipaddress
import logging
from collections.abc import Sequence
from typing import Final

from memrouter.clock import Clock
from memrouter.config.settings import AuthSettings
from memrouter.errors import InvalidRequest
from memrouter.models.memory import DEFAULT_PROJECT, check_identity
from memrouter.models.turn import Identity

logger = logging.getLogger(__name__)

NOBODY: Final = Identity()
WARNING_INTERVAL_SECONDS: Final = 60.0

RawHeaders = Sequence[tuple[bytes, bytes]]
"""ASGI headers: names in lower case, values as received."""


class Authenticator:
    """Reads the identity that a trusted proxy put into headers.

    A caller is trusted by the address of its connection alone. From anywhere else, and over a socket without an
    address, identity headers are ignored, which is logged at most once a minute.

    Args:
        settings: Header names and trusted networks.
        clock: Spaces out the warnings.

    Raises:
        ValueError: A trusted network is not an address or network.
    """

    def __init__(self, settings: AuthSettings, *, clock: Clock) -> None:
        self.user_header = settings.user_header.lower()
        self._project_header = settings.project_header.lower()
        self._groups_header = settings.groups_header.lower()
        self._names = frozenset(name.encode() for name in (self.user_header, self._project_header, self._groups_header))
        self._networks = [ipaddress.ip_network(network, strict=False) for network in settings.trusted_proxies]
        self._clock = clock
        self._warned_at: float | None = None

    def identify(self, headers: RawHeaders, client: Sequence[object] | None) -> Identity:
        """Return who is calling; nobody where no trusted party says.

        Args:
            headers: Of the request.
            client: Address and port of the connection as ASGI gives them; None where there is none.

        Raises:
            InvalidRequest: A trusted party sent an identity that cannot be one: not UTF-8, given twice, too long or
                with control characters. ``param`` is the header.
        """
        given = [(name, value) for name, value in headers if name in self._names]
        if not given:
            return NOBODY
        if not self._trusts(client):
            self._warn()
            return NOBODY
        values = _read(given)
        return Identity(
            user_id=self._checked(values, self.user_header),
            project_id=self._checked(values, self._project_header) or DEFAULT_PROJECT,
            groups=self._groups(values.get(self._groups_header, "")),
        )

    def _trusts(self, client: Sequence[object] | None) -> bool:
        try:
            address = ipaddress.ip_address(str(client[0])) if client else None
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address is not None and any(address in network for network in self._networks)

    def _checked(self, values: dict[str, str], header: str) -> str | None:
        value = values.get(header, "")
        return check_identity(value, param=header) if value else None

    def _groups(self, value: str) -> tuple[str, ...]:
        names = (name.strip(" \t") for name in value.split(","))
        return tuple(check_identity(name, param=self._groups_header) for name in names if name)

    def _warn(self) -> None:
        now = self._clock.monotonic()
        if self._warned_at is None or now - self._warned_at >= WARNING_INTERVAL_SECONDS:
            self._warned_at = now
            logger.warning(
                "identity headers from an address outside global.auth.trusted_proxies were ignored; "
                "add the proxy's network there if it may say who is calling"
            )


def _read(given: RawHeaders) -> dict[str, str]:
    """Return the values by header name, without the white space around them that belongs to HTTP."""
    values: dict[str, str] = {}
    for raw_name, raw_value in given:
        name = raw_name.decode("ascii")
        if name in values:
            raise InvalidRequest(f"{name} was given more than once", code="duplicate_header", param=name)
        try:
            values[name] = raw_value.strip(b" \t").decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{name} is not UTF-8", code="invalid_encoding", param=name) from error
    return values

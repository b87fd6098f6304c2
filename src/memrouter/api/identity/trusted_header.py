"""``auth.mode: trusted_header``: a proxy at a known address says who is calling."""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from fastapi.security import APIKeyHeader

from memrouter.api.identity.authenticator import NOBODY, Client, RawHeaders, Scheme
from memrouter.api.identity.identity_headers import IdentityHeaders
from memrouter.api.identity.networks import TrustedNetworks
from memrouter.clock import Clock
from memrouter.config.auth import AuthSettings
from memrouter.models.memory import DEFAULT_PROJECT
from memrouter.models.turn import ORDINARY, Identity, Permission

logger = logging.getLogger(__name__)

WARNING_INTERVAL_SECONDS: Final = 60.0


class TrustedHeaderAuthenticator:
    """Reads the identity that a trusted proxy put into headers; satisfies ``Authenticator``.

    A caller is trusted by the address of its connection alone. From anywhere else, and over a socket without an
    address, identity headers are ignored, which is logged at most once a minute.

    Args:
        settings: Header names, trusted networks and the groups of operators.
        clock: Spaces out the warnings.

    Raises:
        ValueError: A trusted network is not an address or network.
    """

    is_open: Final = True

    def __init__(self, settings: AuthSettings, *, clock: Clock) -> None:
        self._headers = IdentityHeaders(settings)
        self._networks = TrustedNetworks(settings.trusted_proxies)
        self._operators = frozenset(settings.operator_groups)
        self._clock = clock
        self._warned_at: float | None = None

    @property
    def schemes(self) -> Sequence[Scheme]:
        """See ``Authenticator``."""
        description = "Who is calling; believed from a trusted proxy only."
        return [APIKeyHeader(name=self._headers.user, scheme_name="user", description=description, auto_error=False)]

    @property
    def challenge(self) -> str:
        """See ``Authenticator``; no registered scheme means a proxy's word."""
        return f'Trusted-Header name="{self._headers.user}"'

    @property
    def advice(self) -> str:
        """See ``Authenticator``."""
        return f"a trusted proxy must send {self._headers.user}"

    async def identify(self, headers: RawHeaders, client: Client) -> Identity:
        """See ``Authenticator``; raises ``InvalidRequest`` and nothing else."""
        given = self._headers.given(headers)
        if not given:
            return NOBODY
        if not self._networks.hold(client):
            self._warn()
            return NOBODY
        stated = self._headers.read(given)
        return Identity(
            user_id=stated.user,
            project_id=stated.project or DEFAULT_PROJECT,
            groups=stated.groups,
            permissions=permissions_of(stated.groups, self._operators),
        )

    async def check(self) -> None:
        """See ``Authenticator``; nothing can fail."""

    async def aclose(self) -> None:
        """See ``Authenticator``; nothing runs."""

    def _warn(self) -> None:
        now = self._clock.monotonic()
        if self._warned_at is None or now - self._warned_at >= WARNING_INTERVAL_SECONDS:
            self._warned_at = now
            logger.warning(
                "identity headers from an address outside global.auth.trusted_proxies were ignored; "
                "add the proxy's network there if it may say who is calling"
            )


def permissions_of(groups: Iterable[str], operators: frozenset[str]) -> frozenset[Permission]:
    """Return what the members of ``groups`` may do, where the members of ``operators`` are operators."""
    return ORDINARY if not operators or operators.isdisjoint(groups) else ORDINARY | {Permission.OPERATOR}

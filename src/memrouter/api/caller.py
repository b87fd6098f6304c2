"""Who is calling, for every way in. The interface that routes and other entry points build on:

``identity = await access.admit(connection, Permission.CHAT)``: who asks, in a request that talks to models.
``scope = await access.own_scope(connection)``: whose memories a request is about; nobody is refused.
``access.security()``: the dependencies that describe it in OpenAPI, for ``APIRouter(dependencies=...)``.
``access.named_in_body(identity, text)``: the development switch; hand in ``user`` of an OpenAI body, nothing else.

``connection`` is Starlette's ``HTTPConnection`` (a ``Request`` is one; ``HTTPConnection(scope)`` makes one in an ASGI
application). Call one of the two before the body is read, once a request: rate limits count each call, and the bytes
of the body are charged to whoever was admitted. Errors leave as 400, 401, 403, 429 or 503, see ``api.errors``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import Security
from starlette.requests import HTTPConnection

from memrouter.api.identity.advice import TRUSTS_BODY
from memrouter.api.identity.authenticator import Authenticator, Client, RawHeaders
from memrouter.api.identity.blind_writes import check_not_blind
from memrouter.api.identity.rebinding import OwnNames, RebindingGuard
from memrouter.api.limits import CallerLimits, address_of
from memrouter.config.auth import AuthSettings
from memrouter.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from memrouter.models.memory import Scope, check_identity
from memrouter.models.turn import Identity, Permission


class Access:
    """Decides who may come in; shared by all listeners of a process.

    Args:
        authenticator: Says who is calling.
        settings: What the authenticator was built from.
        limits: How often; None for no limits.
    """

    def __init__(
        self, authenticator: Authenticator, *, settings: AuthSettings, limits: CallerLimits | None = None
    ) -> None:
        self._authenticator = authenticator
        self._settings = settings
        self._limits = limits if limits is not None and limits.are_set else None
        believes_headers = settings.mode == "trusted_header"
        self._guard = RebindingGuard(OwnNames(settings.allowed_hosts)) if believes_headers else None

    async def admit(self, connection: HTTPConnection, permission: Permission) -> Identity:
        """Return who is calling, if that may be.

        Raises:
            Forbidden: The caller lacks the permission, or claims to be somebody else.
            MemrouterError: As for ``identify``.
        """
        identity = await self.identify(connection)
        if permission not in identity.permissions:
            raise lacks(permission)
        return identity

    async def identify(self, connection: HTTPConnection) -> Identity:
        """Return who is calling and what that caller may do, for whoever looks at the permissions itself.

        Raises:
            InvalidRequest: Identity headers that cannot be right; ``param`` names the header.
            Unauthenticated: A credential is missing or wrong.
            Forbidden: The caller claims to be somebody else, or is a page that must not.
            RateLimited: The caller asks too often.
            Overloaded: Credentials cannot be checked now.
            StoreUnavailable: The store with the API keys cannot be asked.
        """
        headers: RawHeaders = connection.scope["headers"]
        client: Client = connection.scope.get("client")
        try:
            if self._guard is not None:
                self._guard.check(connection.scope)
                check_not_blind(connection.scope)
            identity = await self._authenticator.identify(headers, client)
        except (Unauthenticated, Forbidden):
            self._count(connection, None)
            raise
        self._count(connection, identity.scope if self._limits else None)
        return identity

    async def own_scope(self, connection: HTTPConnection) -> Scope:
        """Return whose memories a request is about: the caller's own in one project.

        Raises:
            Unauthenticated: Nobody is named.
            MemrouterError: As for ``admit``.
        """
        scope = (await self.admit(connection, Permission.MEMORY)).scope
        if scope is None:
            raise self.nobody()
        return scope

    def nobody(self) -> Unauthenticated:
        """Return the error for a caller whom nobody names."""
        return Unauthenticated(
            f"nobody is identified; {self._authenticator.advice}",
            param=self._settings.user_header.lower(),
            challenge=self._authenticator.challenge,
        )

    def named_in_body(self, identity: Identity, name: str | None) -> Identity:
        """Return ``identity``, or, in development and where it names nobody, the user that a request body names.

        Raises:
            InvalidRequest: The name cannot be one; ``param`` is ``user``.
        """
        if not self._settings.trust_body_user or identity.user_id is not None or not name:
            return identity
        return replace(identity, user_id=check_identity(name, param="user"))

    def security(self) -> Sequence[Any]:
        """Return dependencies that describe, in OpenAPI, how a caller says who it is; they check nothing."""
        return [Security(scheme) for scheme in self._authenticator.schemes]

    async def admit_to_models(self, connection: HTTPConnection) -> None:
        """Check a caller of what tells of models but not of anybody's memories; everybody, where callers need no name.

        Raises:
            MemrouterError: As for ``admit``.
        """
        if not self._authenticator.is_open:
            await self.admit(connection, Permission.CHAT)

    @property
    def protects_metrics(self) -> bool:
        """Return whether only operators see the metrics."""
        return self._settings.protect_metrics

    async def admit_to_metrics(self, connection: HTTPConnection) -> None:
        """Check a caller of the metrics; everybody, where they are not protected.

        Raises:
            MemrouterError: As for ``admit``.
        """
        if self.protects_metrics:
            await self.admit(connection, Permission.OPERATOR)

    async def check(self) -> None:
        """Prove that credentials can be checked, and that no body is believed.

        Raises:
            MemrouterError: They cannot, or one is; the message says so.
        """
        if self._settings.trust_body_user:
            raise InvalidRequest(TRUSTS_BODY)
        await self._authenticator.check()

    async def aclose(self) -> None:
        """End what runs in the background."""
        await self._authenticator.aclose()

    def _count(self, connection: HTTPConnection, scope: Scope | None) -> None:
        """Count one request of a user, or of an address where nobody is known."""
        limits = self._limits
        if limits is not None:
            caller = scope.owner if scope else address_of(connection.scope.get("client"))
            limits.admit(caller)
            connection.scope.setdefault("state", {})["charge"] = lambda size: limits.charge(caller, size)


def lacks(permission: Permission) -> Forbidden:
    """Return the error for a caller who may not do something."""
    return Forbidden(f"this needs the permission {permission.value}, which the caller does not have")


def memory_off() -> NotFound:
    """Return the error for a route of memory where memory is switched off."""
    return NotFound(
        "memory is switched off on this server; set global.stores.memory.enabled to true", code="memory_disabled"
    )

"""``auth.mode: jwt``: callers bring a token that an issuer signed. Needs the extra ``[jwt]``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from fastapi.security import HTTPBearer

from memrouter.api.identity.authenticator import Client, RawHeaders, Scheme
from memrouter.api.identity.credentials import BEARER, bearer_token, invalid_token
from memrouter.api.identity.identity_headers import IdentityHeaders, split_groups
from memrouter.api.identity.key_source import KeySource
from memrouter.api.identity.trusted_header import permissions_of
from memrouter.config.auth import AuthSettings, JwtSettings
from memrouter.errors import InvalidRequest, Unauthenticated
from memrouter.models.memory import DEFAULT_PROJECT, check_identity
from memrouter.models.turn import Identity

_FAULTS: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (jwt.ExpiredSignatureError, "the token has expired; get a new one"),
    (jwt.ImmatureSignatureError, "the token is not valid yet; see that the clocks agree"),
    (jwt.InvalidIssuerError, "the token is of another issuer than this router believes"),
    (jwt.InvalidAudienceError, "the token is meant for another audience than this router"),
    (jwt.MissingRequiredClaimError, "the token lacks a claim that this router needs"),
    (jwt.InvalidAlgorithmError, "the token is signed with an algorithm that this router does not believe"),
)
_UNREADABLE: Final = "the token cannot be read, or its signature is wrong"


class JwtAuthenticator:
    """Believes signed tokens; satisfies ``Authenticator``.

    What a token's header says chooses among the keys that are known and does nothing else: ``jku``, ``jwk`` and
    ``x5u`` are not looked at, and the algorithm must be one of the configured ones and fit the key.

    Args:
        settings: What is believed.
        keys: Verify signatures.
    """

    is_open: Final = False
    challenge: Final = BEARER
    advice: Final = "send Authorization: Bearer and a token of the configured issuer"

    def __init__(self, settings: AuthSettings, *, keys: KeySource) -> None:
        self._headers = IdentityHeaders(settings)
        self._operators = frozenset(settings.operator_groups)
        self._settings = settings.jwt
        self._claims = _Claims(settings.jwt)
        self._keys = keys
        self._tokens = jwt.PyJWT(
            {"require": ["exp"], "verify_sub": False, "verify_jti": False, "enforce_minimum_key_length": True}
        )

    @property
    def schemes(self) -> Sequence[Scheme]:
        """See ``Authenticator``."""
        return [
            HTTPBearer(
                bearerFormat="JWT", scheme_name="jwt", description="A token of the configured issuer.", auto_error=False
            )
        ]

    async def identify(self, headers: RawHeaders, client: Client) -> Identity:
        """See ``Authenticator``."""
        token = bearer_token(headers)
        if token is None:
            raise Unauthenticated(f"no token was sent; {self.advice}", param="authorization", challenge=self.challenge)
        claims = await self._believed(token)
        user, project, groups = self._claims.read(claims)
        identity = Identity(user, project or DEFAULT_PROJECT, groups, permissions_of(groups, self._operators))
        return self._headers.narrowed(identity, headers, project=project)

    async def check(self) -> None:
        """See ``Authenticator``."""
        await self._keys.check()

    async def aclose(self) -> None:
        """See ``Authenticator``."""
        await self._keys.aclose()

    async def _believed(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token whose signature, times, issuer and audience are right."""
        kid, algorithm = self._header(token)
        failure = invalid_token(_UNREADABLE)
        for key in await self._keys.find(kid, algorithm):
            try:
                return self._tokens.decode(
                    token,
                    key,
                    [algorithm],
                    audience=self._settings.audience,
                    issuer=self._settings.issuer,
                    leeway=self._settings.leeway,
                )
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
                failure = invalid_token(_describe(error))
        raise failure

    def _header(self, token: str) -> tuple[str | None, str]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise invalid_token(_UNREADABLE) from None
        algorithm = next((name for name in self._settings.algorithms if name == header.get("alg")), None)
        if algorithm is None:
            raise invalid_token(_describe(jwt.InvalidAlgorithmError()))
        return header.get("kid"), algorithm


class _Claims:
    """Reads who a token is about."""

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings

    def read(self, claims: Mapping[str, Any]) -> tuple[str, str | None, tuple[str, ...]]:
        """Return user, project and groups.

        Raises:
            Unauthenticated: A claim that is needed is missing, or not of a kind that names anything.
        """
        settings = self._settings
        user = self._name(claims, settings.user_claim)
        if settings.tenant_claim:
            user = tenant_user(self._name(claims, settings.tenant_claim), user)
        project = self._name(claims, settings.project_claim) if settings.project_claim else None
        try:
            check_identity(user, param=settings.user_claim)
            return user, project, self._groups(claims)
        except InvalidRequest:
            raise invalid_token("the token names a user or group with more than 256 or unfit characters") from None

    def _name(self, claims: Mapping[str, Any], claim: str) -> str:
        value = find_claim(claims, claim)
        if not isinstance(value, str) or not value:
            raise invalid_token(f"the token's claim {claim} is missing or no text")
        try:
            return check_identity(value, param=claim)
        except InvalidRequest:
            raise invalid_token(f"the token's claim {claim} has more than 256 or unfit characters") from None

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        claim = self._settings.groups_claim
        value = find_claim(claims, claim) if claim else None
        if value is None:
            return ()
        if isinstance(value, str):
            return split_groups(value, param=claim)
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise invalid_token(f"the token's claim {claim} is neither text nor a list of texts")
        return tuple(check_identity(name, param=claim) for name in value)


def tenant_user(tenant: str, user: str) -> str:
    """Return the one user id for a user of a tenant: ``tenant/user``.

    ``%`` and ``/`` in the tenant are written as ``%25`` and ``%2F``, so that no two pairs give the same id.
    """
    return f"{tenant.replace('%', '%25').replace('/', '%2F')}/{user}"


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its whole name, else by a path of names with dots between; None where there is none."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _describe(error: Exception) -> str:
    return next((text for kind, text in _FAULTS if isinstance(error, kind)), _UNREADABLE)

"""``auth.mode: api_key``: callers bring a key that ``memrouter keys create`` made."""

from collections.abc import Sequence
from typing import Final

from fastapi.security import APIKeyHeader, HTTPBearer

from memrouter.api.identity.api_key import KEY_PREFIX, ApiKey, read_key
from memrouter.api.identity.authenticator import Client, RawHeaders, Scheme
from memrouter.api.identity.credentials import BEARER, api_key_header, bearer_token, invalid_token
from memrouter.api.identity.identity_headers import IdentityHeaders
from memrouter.api.identity.key_cache import KeyCache
from memrouter.api.identity.key_keeper import KeyKeeper
from memrouter.clock import Clock
from memrouter.config.auth import AuthSettings
from memrouter.errors import Forbidden, Unauthenticated
from memrouter.models.memory import DEFAULT_PROJECT
from memrouter.models.turn import Identity

_PROBE: Final = "a" * 12
"""Id of a key that does not exist."""


class ApiKeyAuthenticator:
    """Believes whoever holds a key; satisfies ``Authenticator``.

    The key stands in ``Authorization: Bearer`` or in ``x-api-key``; what else stands in the other one is none of ours.
    A key of a user makes the caller that user. A key of a service makes the caller whomever its identity headers name,
    within what the key allows, from any address.

    Args:
        settings: Header names, and how long keys are kept at hand.
        keeper: Where keys are kept.
        clock: Tells when keys expire.
    """

    is_open: Final = False
    challenge: Final = BEARER

    def __init__(self, settings: AuthSettings, *, keeper: KeyKeeper, clock: Clock) -> None:
        self._headers = IdentityHeaders(settings)
        self._keeper = keeper
        self._keys = KeyCache(keeper, seconds=settings.api_keys.cache, grace=settings.api_keys.grace, clock=clock)
        self._clock = clock

    @property
    def schemes(self) -> Sequence[Scheme]:
        """See ``Authenticator``."""
        how = "A key from `memrouter keys create`."
        return [
            HTTPBearer(scheme_name="api_key", description=how, auto_error=False),
            APIKeyHeader(name="x-api-key", scheme_name="api_key_header", description=how, auto_error=False),
        ]

    @property
    def advice(self) -> str:
        """See ``Authenticator``."""
        return (
            f"send Authorization: Bearer {KEY_PREFIX}…, a key from memrouter keys create; "
            f"with the key of a service also {self._headers.user}"
        )

    async def identify(self, headers: RawHeaders, client: Client) -> Identity:
        """See ``Authenticator``."""
        key_id, secret = self._presented(headers)
        key = await self._keys.find(key_id)
        if key is None or not key.proves(secret):
            raise invalid_token("there is no such API key; it may have been revoked")
        if key.has_expired(self._clock.now_ms()):
            raise invalid_token("the API key has expired; make a new one with memrouter keys create")
        self._keys.note_use(key_id)
        return self._of_service(key, headers) if key.service else self._of_user(key, headers)

    async def check(self) -> None:
        """See ``Authenticator``."""
        await self._keeper.get(_PROBE)

    async def aclose(self) -> None:
        """See ``Authenticator``."""
        await self._keys.aclose()

    def _presented(self, headers: RawHeaders) -> tuple[str, str]:
        sent = {text for text in (bearer_token(headers), api_key_header(headers)) if text and _is_ours(text)}
        if not sent:
            raise Unauthenticated(
                f"no API key of this router was sent; {self.advice}", param="authorization", challenge=self.challenge
            )
        keys = {read_key(text) for text in sent}
        found = keys.pop()
        if keys:
            raise invalid_token("authorization and x-api-key hold different API keys; send one")
        if found is None:
            raise invalid_token("what was sent is not a whole API key; copy it again")
        return found

    def _of_user(self, key: ApiKey, headers: RawHeaders) -> Identity:
        identity = Identity(key.user, key.project or DEFAULT_PROJECT, key.groups, frozenset(key.scopes), key.id)
        return self._headers.narrowed(identity, headers, project=key.project)

    def _of_service(self, key: ApiKey, headers: RawHeaders) -> Identity:
        stated = self._headers.read(headers)
        if stated.user is not None and not key.may_act_for(stated.user):
            raise Forbidden("the key of this service does not allow acting for this user", param=self._headers.user)
        return Identity(stated.user, stated.project or DEFAULT_PROJECT, stated.groups, frozenset(key.scopes), key.id)


def _is_ours(text: str) -> bool:
    return text.startswith(KEY_PREFIX)

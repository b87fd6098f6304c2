"""Verification keys that change: had from a file or a URL, kept, and had anew when they age or do not fit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import aiohttp
import jwt

from memrouter.api.identity.verification_keys import KeySet, public_keys, shared_secret
from memrouter.clock import Clock
from memrouter.config.auth import JwtSettings
from memrouter.errors import ConfigError, ConfigProblem, Overloaded

logger = logging.getLogger(__name__)

FETCH_SECONDS: Final = 5.0
MAX_BYTES: Final = 256 * 1024
LEAST_INTERVAL_SECONDS: Final = 10.0
"""Keys are not had anew more often than this, whatever tokens name."""

Load = Callable[[], Awaitable[bytes]]
"""Gives a JSON Web Key Set or PEM; raises ``OSError`` or ``ValueError`` with a reason that may be logged."""


class KeySource(Protocol):
    """Gives the keys that may verify a token."""

    async def find(self, kid: str | None, algorithm: str) -> Sequence[jwt.PyJWK]:
        """Return the keys to try; none where no key fits.

        Raises:
            Overloaded: No keys could be had yet.
        """
        ...

    async def check(self) -> None:
        """Prove that there are keys.

        Raises:
            Overloaded: There are none, or what is at hand could not be had anew.
        """
        ...

    async def aclose(self) -> None:
        """End what runs in the background."""
        ...


class FixedKeys:
    """Keys that never change; satisfies ``KeySource``."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def find(self, kid: str | None, algorithm: str) -> Sequence[jwt.PyJWK]:
        """See ``KeySource``."""
        return self._keys.find(kid, algorithm)

    async def check(self) -> None:
        """See ``KeySource``; nothing can fail."""

    async def aclose(self) -> None:
        """See ``KeySource``; nothing runs."""


class LoadedKeys:
    """Keys that are loaded at the first use, when they are old, and when a token names one that is not known.

    Old keys stay in use while new ones are loaded, and for as long as they cannot be. However many requests wait, keys
    are loaded once. Satisfies ``KeySource``.

    Args:
        load: Gives the keys.
        algorithms: Those that are wanted.
        refresh: Age in seconds at which keys are loaded anew.
        clock: Ages them.
    """

    def __init__(self, load: Load, *, algorithms: Sequence[str], refresh: float, clock: Clock) -> None:
        self._load = load
        self._algorithms = algorithms
        self._refresh = refresh
        self._clock = clock
        self._keys: KeySet | None = None
        self._loading: asyncio.Task[None] | None = None
        self._tried_at: float | None = None
        self._loaded_at = 0.0
        self._failure = ""

    async def find(self, kid: str | None, algorithm: str) -> Sequence[jwt.PyJWK]:
        """See ``KeySource``."""
        if self._keys is None:
            await self._renew()
        elif self._clock.monotonic() - self._loaded_at >= self._refresh:
            self._begin()
        found = self._keys.find(kid, algorithm) if self._keys else ()
        if not found and self._keys is not None:
            await self._renew()
            found = self._keys.find(kid, algorithm)
        if self._keys is None:
            raise Overloaded("the keys of the token issuer cannot be had now; try again", code="keys_unavailable")
        return found

    async def check(self) -> None:
        """See ``KeySource``."""
        if self._keys is None:
            await self._renew()
        if self._failure:
            kept = "; the keys at hand stay in use" if self._keys else ""
            raise Overloaded(f"the keys of the token issuer cannot be had: {self._failure}{kept}")

    async def aclose(self) -> None:
        """See ``KeySource``."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)

    async def _renew(self) -> None:
        loading = self._begin()
        if loading is not None:
            await asyncio.shield(loading)

    def _begin(self) -> asyncio.Task[None] | None:
        """Return the loading that is under way or begins now; None where the last one is too short ago."""
        if self._loading is not None and not self._loading.done():
            return self._loading
        now = self._clock.monotonic()
        if self._tried_at is not None and now - self._tried_at < LEAST_INTERVAL_SECONDS:
            return None
        self._tried_at = now
        self._loading = asyncio.create_task(self._reload())
        return self._loading

    async def _reload(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                raw = await self._load()
            self._keys = await asyncio.to_thread(public_keys, raw, algorithms=self._algorithms)
        except (OSError, ValueError, TimeoutError) as error:
            self._failure = str(error) or "no answer in time"
            logger.warning("the keys of the token issuer could not be loaded: %s", self._failure)
        else:
            self._loaded_at = self._clock.monotonic()
            self._failure = ""


def open_keys(settings: JwtSettings, *, clock: Clock) -> KeySource:
    """Return the configured keys; a file is read at once, a URL is asked at the first use.

    Raises:
        ConfigError: The file cannot be read, or holds no key that fits.
    """
    secret = settings.secret.get_secret_value()
    if secret:
        return FixedKeys(shared_secret(secret, algorithms=settings.algorithms))
    if settings.key_file:
        path = Path(settings.key_file)
        try:
            public_keys(_read_file(path), algorithms=settings.algorithms)
        except (OSError, ValueError) as error:
            allowed = "a file with public keys: PEM, or a JSON Web Key Set"
            raise ConfigError(
                [ConfigProblem("<configuration>", None, "global.auth.jwt.key_file", str(error), allowed)]
            ) from None
        load = from_file(path)
    else:
        load = from_url(settings.jwks_url)
    return LoadedKeys(load, algorithms=settings.algorithms, refresh=settings.refresh, clock=clock)


def from_file(path: Path) -> Load:
    """Return what reads keys from a file."""

    async def load() -> bytes:
        return await asyncio.to_thread(_read_file, path)

    return load


def from_url(url: str) -> Load:
    """Return what fetches keys: without redirects, cookies and proxies of the environment."""

    async def load() -> bytes:
        try:
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(url, allow_redirects=False, headers={"accept": "application/json"}) as answer,
            ):
                if answer.status != 200:
                    msg = f"the issuer answered with status {answer.status}"
                    raise ValueError(msg)
                return _bounded(await _read(answer.content))
        except aiohttp.ClientError as error:
            msg = f"the issuer cannot be asked ({type(error).__name__})"
            raise OSError(msg) from None

    return load


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _bounded(file.read(MAX_BYTES + 1))
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror})"
        raise OSError(msg) from None


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while len(body) <= MAX_BYTES and (more := await content.read(MAX_BYTES)):
        body += more
    return body


def _bounded(raw: bytes) -> bytes:
    if len(raw) > MAX_BYTES:
        msg = f"over {MAX_BYTES // 1024} KiB of keys"
        raise ValueError(msg)
    return raw

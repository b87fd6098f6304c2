"""Whether the right ones are believed, and whether what proves them is at hand."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from memrouter.api.identity.advice import identity_advice
from memrouter.api.identity.factory import open_authenticator
from memrouter.api.identity.key_file import KeyFile
from memrouter.clock import Clock
from memrouter.config.auth import AuthSettings
from memrouter.config.settings import Settings
from memrouter.doctor.findings import Finding, broken, ok, warning
from memrouter.errors import ConfigError, MemrouterError

_CHECK = "identity"


async def identity_findings(settings: Settings, *, clock: Clock) -> list[Finding]:
    """Return what is to be known about who is believed; asks the token issuer for its keys, and reads a key file."""
    every = dict.fromkeys(advice for listener in settings.listeners for advice in identity_advice(settings, listener))
    found = [warning(_CHECK, advice.seen, why=advice.why, fix=advice.fix) for advice in every]
    found += [finding async for finding in _credentials(settings.global_.auth, clock=clock)]
    return found or [ok(_CHECK, f"auth.mode is {settings.global_.auth.mode}")]


async def _credentials(auth: AuthSettings, *, clock: Clock) -> AsyncIterator[Finding]:
    if auth.mode == "api_key" and auth.api_keys.file:
        for finding in _key_file(Path(auth.api_keys.file), clock=clock):
            yield finding
    if auth.mode != "jwt":
        return
    why = "without the issuer's keys no token is believed"
    try:
        authenticator = open_authenticator(auth, state=None, clock=clock)
    except ConfigError as error:
        for problem in error.problems:
            yield broken(_CHECK, str(problem), why=why, fix=problem.hint or f"correct {problem.key}")
        return
    try:
        await authenticator.check()
        yield ok(_CHECK, f"the keys of {auth.jwt.issuer} are at hand")
    except MemrouterError as error:
        yield broken(_CHECK, str(error), why=why, fix="correct global.auth.jwt.jwks_url, and see that it is reachable")
    finally:
        await authenticator.aclose()


def _key_file(path: Path, *, clock: Clock) -> Iterator[Finding]:
    try:
        keys = KeyFile(path).load().values()
    except ConfigError as error:
        why = "the router does not start without a file of keys that it may believe"
        for problem in error.problems:
            yield broken(_CHECK, str(problem), why=why, fix=problem.hint or f"correct {path}")
        return
    expired = sum(key.has_expired(clock.now_ms()) for key in keys)
    if len(keys) == expired:
        fix = "make one: memrouter keys create --user USER"
        yield warning(_CHECK, f"{path} holds no key that works", why="nobody can come in", fix=fix)
    else:
        yield ok(_CHECK, f"{path} holds {len(keys)} keys, {expired} of them expired")

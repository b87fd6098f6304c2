"""The authenticator that the configuration asks for."""

from pathlib import Path

from memrouter.api.identity.authenticator import Authenticator
from memrouter.api.identity.key_authenticator import ApiKeyAuthenticator
from memrouter.api.identity.key_file import KeyFile
from memrouter.api.identity.key_keeper import KeyKeeper
from memrouter.api.identity.key_state import KeyState
from memrouter.api.identity.trusted_header import TrustedHeaderAuthenticator
from memrouter.clock import Clock
from memrouter.config.auth import AuthSettings
from memrouter.errors import ConfigError, ConfigProblem, MissingExtra
from memrouter.stores.state import StateStore


def open_authenticator(settings: AuthSettings, *, state: StateStore | None, clock: Clock) -> Authenticator:
    """Return what says who is calling; ``aclose`` ends it. Reads a key file, if one is configured.

    Args:
        settings: What is believed.
        state: Of the memory store; None where memory is off.
        clock: Tells the time.

    Raises:
        ConfigError: It cannot be built as configured.
    """
    match settings.mode:
        case "trusted_header":
            return TrustedHeaderAuthenticator(settings, clock=clock)
        case "api_key":
            return ApiKeyAuthenticator(settings, keeper=_keeper(settings, state, clock), clock=clock)
        case "jwt":
            return _tokens(settings, clock)


def _keeper(settings: AuthSettings, state: StateStore | None, clock: Clock) -> KeyKeeper:
    if settings.api_keys.file:
        keys = KeyFile(Path(settings.api_keys.file))
        keys.load()
        return keys
    if state is None:
        problem = ConfigProblem(
            file="<configuration>",
            line=None,
            key="global.auth.api_keys.file",
            found="nothing, and no memory store",
            allowed="a file of keys, where memory is off in every route",
            hint="Run: memrouter keys create --config FILE, with auth.api_keys.file set in FILE",
        )
        raise ConfigError([problem])
    return KeyState(state, clock=clock)


def _tokens(settings: AuthSettings, clock: Clock) -> Authenticator:
    try:
        from memrouter.api.identity.jwt_authenticator import JwtAuthenticator
        from memrouter.api.identity.key_source import open_keys
    except ImportError:
        raise MissingExtra("global.auth.mode: jwt", "jwt") from None
    return JwtAuthenticator(settings, keys=open_keys(settings.jwt, clock=clock))

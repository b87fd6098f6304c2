"""The configured backends, checked and ready to be asked."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from yarl import URL

from memrouter.config.providers import BackendRef
from memrouter.config.settings import Settings
from memrouter.errors import ConfigError, ConfigProblem

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")


@dataclass(frozen=True, slots=True)
class Backend:
    """One server that answers for a model.

    Attributes:
        name: Its name in the configuration, or its address where it has none.
        url: Address of its chat completions route.
        headers: What it wants besides the client's headers, names in lower case: its key, and extra headers.
        replaced: Names of client headers, in lower case, that it must not see because it has a key of its own.
        weight: Share of requests that try it first.
    """

    name: str
    url: URL
    headers: Mapping[str, str]
    replaced: frozenset[str]
    weight: int

    def __str__(self) -> str:
        """Return name and address for messages; neither keys nor query."""
        return f"backend '{self.name}' ({self.url.host}:{self.url.port})"


def resolve_backends(settings: Settings, *, env: Mapping[str, str]) -> dict[str, tuple[Backend, ...]]:
    """Return the backends of every model, by the model's name.

    Args:
        settings: The configuration.
        env: Environment variables, for ``api_key_env``.

    Raises:
        ConfigError: An address cannot be used, a header cannot be sent, or a variable with a key is missing.
    """
    problems: list[ConfigProblem] = []
    resolved = {}
    for number, model in enumerate(settings.providers.models):
        backends = []
        for index, ref in enumerate(model.backend_refs):
            key = f"providers.models[{number}].backend_refs[{index}]"
            url = _url(ref)
            found = [] if url else [_bad_address(key)]
            headers = _headers(ref, env)
            found += _header_problems(key, ref, headers, env)
            problems += found
            if url is not None and not found:
                replaced = frozenset({"authorization"} if _key(ref, env) else ())
                name = ref.name or f"{url.host}:{url.port}"
                backends.append(Backend(name, url, headers, replaced, ref.weight))
        resolved[model.name] = tuple(backends)
    if problems:
        raise ConfigError(problems)
    return resolved


def _url(ref: BackendRef) -> URL | None:
    try:
        url = URL(ref.url)
        usable = url.scheme in ("http", "https") and bool(url.host and url.port) and not (url.user or url.password)
    except ValueError:
        return None
    return url if usable else None


def _key(ref: BackendRef, env: Mapping[str, str]) -> str:
    return (ref.api_key.get_secret_value() or env.get(ref.api_key_env, "")).strip()


def _headers(ref: BackendRef, env: Mapping[str, str]) -> dict[str, str]:
    headers = {name.lower(): value for name, value in ref.extra_headers.items()}
    if key := _key(ref, env):
        headers[ref.auth_header.lower()] = f"{ref.auth_prefix} {key}".strip()
    return headers


def _bad_address(key: str) -> ConfigProblem:
    return ConfigProblem(
        file="<configuration>",
        line=None,
        key=key,
        found="an address that cannot be used",
        allowed="endpoint as host:port, or base_url as http(s)://host[:port]/path without user name and password",
    )


def _header_problems(
    key: str, ref: BackendRef, headers: Mapping[str, str], env: Mapping[str, str]
) -> Iterator[ConfigProblem]:
    if ref.api_key_env and not _key(ref, env):
        yield ConfigProblem(
            file="<environment>",
            line=None,
            key=f"{key}.api_key_env",
            found=f"no value in the variable {ref.api_key_env}",
            allowed=f"the API key of backend '{ref.name or ref.endpoint or ref.base_url}'",
            hint=f"Set {ref.api_key_env}, or remove api_key_env to pass the client's Authorization header through",
        )
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            yield ConfigProblem(
                file="<configuration>",
                line=None,
                key=key,
                found=f"a header {name!r} that cannot be sent",
                allowed="names of letters, digits and hyphens; values without line breaks and control characters",
            )

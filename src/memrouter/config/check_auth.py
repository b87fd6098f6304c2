"""Checks of ``global.auth`` and of which web pages may call: settings that together believe nobody, or too many."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from memrouter.config.auth import AuthSettings, JwtSettings
from memrouter.config.findings import Finding
from memrouter.config.paths import KeyPath
from memrouter.config.settings import Settings

_AUTH: KeyPath = ("global", "auth")
_JWT: KeyPath = (*_AUTH, "jwt")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._-]+(:[0-9]{1,5})?|[a-z][a-z0-9+.-]*://\[[0-9a-fA-F:]+\](:[0-9]{1,5})?"
)

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", re.ASCII)


def check_auth(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong."""
    auth = settings.global_.auth
    if auth.mode == "jwt":
        yield from _check_jwt(auth.jwt)
    if auth.trust_body_user and auth.mode != "trusted_header":
        hint = "It is for development without a proxy; keys and tokens name the user."
        yield Finding((*_AUTH, "trust_body_user"), f"false with mode: {auth.mode}", hint=hint)
    for index, host in enumerate(auth.allowed_hosts):
        if not _is_host(host):
            hint = "Without scheme, port and path, in lower case; an address of IPv6 without brackets."
            yield Finding((*_AUTH, "allowed_hosts", index), "a name such as memrouter.example.org", hint=hint)
    yield from _check_operators(auth)
    yield from _check_origins(settings)


def _check_jwt(jwt: JwtSettings) -> Iterator[Finding]:
    if not jwt.issuer:
        yield Finding((*_JWT, "issuer"), "the issuer of the tokens, as in their claim iss")
    if not jwt.audience or "" in jwt.audience:
        yield Finding((*_JWT, "audience"), "a list of what the tokens' claim aud may be, such as [memrouter]")
    secret = jwt.secret.get_secret_value()
    if [bool(jwt.jwks_url), bool(jwt.key_file), bool(secret)].count(True) != 1:
        yield Finding(_JWT, "exactly one of jwks_url, key_file and secret", found="none, or several of them")
    if jwt.jwks_url and not _is_url(jwt.jwks_url):
        yield Finding((*_JWT, "jwks_url"), "an http:// or https:// URL with a host, without fragment or user name")
    shared = [algorithm.startswith("HS") for algorithm in jwt.algorithms]
    # As long as the digest (RFC 7518, 3.2).
    least = max((int(algorithm[2:]) // 8 for algorithm in jwt.algorithms if algorithm.startswith("HS")), default=32)
    if secret and len(secret.encode()) < least:
        yield Finding((*_JWT, "secret"), f"at least {least} bytes", found="(secret)")
    if bool(secret) != all(shared) or (not secret and any(shared)):
        allowed = "HS256, HS384 and HS512 with a secret, and none of them without"
        yield Finding((*_JWT, "algorithms"), allowed, hint="A public key must never serve as a shared secret.")


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _NAME.fullmatch(text) is not None
    return True


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        is_whole = bool(url.hostname) and url.username is None and (url.port is None or url.port > 0)
    except ValueError:
        return False
    return bool(_VISIBLE.fullmatch(text)) and url.scheme in ("http", "https") and is_whole and not url.fragment


def _check_operators(auth: AuthSettings) -> Iterator[Finding]:
    if auth.protect_metrics and auth.mode != "api_key" and not auth.operator_groups:
        hint = "Nobody is an operator; keys would be with mode: api_key and --scope operator."
        yield Finding((*_AUTH, "operator_groups"), "a group of those who may see /metrics", hint=hint)
    if auth.mode == "jwt" and auth.operator_groups and not auth.jwt.groups_claim:
        yield Finding((*_JWT, "groups_claim"), "the claim with the groups, which operator_groups needs")


def _check_origins(settings: Settings) -> Iterator[Finding]:
    path: KeyPath = ("global", "server", "cors", "allow_origins")
    for index, origin in enumerate(settings.global_.server.cors.allow_origins):
        if origin == "*" and settings.global_.auth.mode == "trusted_header":
            hint = "With mode: trusted_header any web page in a browser on a trusted machine could be any user."
            yield Finding((*path, index), "an origin such as https://app.example.org", hint=hint)
        elif origin != "*" and not _ORIGIN.fullmatch(origin):
            yield Finding((*path, index), "scheme://host[:port] without a path, in lower case, or *")

"""What an operator should know about a configuration that lets the wrong ones be believed. Pure."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from memrouter.config.auth import LOOPBACK, AuthSettings
from memrouter.config.settings import Listener, Settings

TRUSTS_BODY: Final = (
    "UNSAFE: global.auth.trust_body_user is on, so whoever can send a chat request can be any user and see what is "
    "remembered of them"
)


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to know.

    Attributes:
        seen: What is so.
        why: What comes of it.
        fix: The setting that mends it.
    """

    seen: str
    why: str
    fix: str

    def __str__(self) -> str:
        """Return it as one sentence for the log."""
        return f"{self.seen}: {self.why}; {self.fix}"


def identity_advice(settings: Settings, listener: Listener) -> Iterator[Advice]:
    """Yield what to know about who is believed on one listener."""
    auth = settings.global_.auth
    if auth.mode == "trusted_header":
        yield from _of_headers(auth, listener)
    if auth.mode == "jwt" and urlsplit(auth.jwt.jwks_url).scheme == "http" and not _is_local(auth.jwt.jwks_url):
        yield Advice(
            "global.auth.jwt.jwks_url is not https",
            "whoever can change what is sent on the way can make tokens for any user",
            "use an https:// address",
        )
    if "*" in settings.global_.server.cors.allow_origins:
        yield Advice(
            "global.server.cors.allow_origins holds *",
            "any web page that holds a credential may read the router's answers",
            "list the origins of your own pages",
        )


def is_loopback(address: str) -> bool:
    """Return whether a listener on ``address`` is reached from this machine alone."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _of_headers(auth: AuthSettings, listener: Listener) -> Iterator[Advice]:
    if auth.trust_body_user:
        yield Advice(
            TRUSTS_BODY, "it is meant for development on one machine", "remove it before anybody else connects"
        )
    if not is_loopback(listener.address) and auth.trusted_proxies == LOOPBACK:
        yield Advice(
            f"listener {listener.name} answers on {listener.address}, and only this machine is in "
            "global.auth.trusted_proxies",
            f"{auth.user_header} from other machines is not believed, so nobody there has memory",
            "list the network of the proxy that authenticates callers in trusted_proxies, or set global.auth.mode to "
            "api_key or jwt",
        )
    for network in auth.trusted_proxies:
        if ipaddress.ip_network(network, strict=False).prefixlen == 0:
            yield Advice(
                f"global.auth.trusted_proxies holds {network}, which is everybody",
                "whoever reaches the router can be any user",
                "list the network of the proxy that authenticates callers, nothing wider",
            )


def _is_local(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")

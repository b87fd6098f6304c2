"""Checks of ``global.inspector``: names that no browser asks for, and sign-in by name that lets anybody be anybody."""

import ipaddress
import re
from collections.abc import Iterator

from memrouter.config.findings import Finding
from memrouter.config.paths import KeyPath
from memrouter.config.settings import Settings

_INSPECTOR: KeyPath = ("global", "inspector")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", re.ASCII)


def check_inspector(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong."""
    inspector, auth = settings.global_.inspector, settings.global_.auth
    for index, host in enumerate(inspector.allowed_hosts):
        if not _is_host(host):
            hint = "Without scheme, port and path, in lower case; an address of IPv6 without brackets."
            yield Finding((*_INSPECTOR, "allowed_hosts", index), "a name such as memrouter.example.org", hint=hint)
    if inspector.sign_in_by_name == "trusted" and any(network.endswith("/0") for network in auth.trusted_proxies):
        hint = "auth.trusted_proxies holds everybody, so whoever reaches the router could sign in as any user."
        yield Finding((*_INSPECTOR, "sign_in_by_name"), "off or loopback", hint=hint)


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _NAME.fullmatch(text) is not None
    return True

"""Checks of ``global.inspector``: sign-in by name that lets anybody be anybody."""

from collections.abc import Iterator

from memrouter.config.findings import Finding
from memrouter.config.paths import KeyPath
from memrouter.config.settings import Settings

_INSPECTOR: KeyPath = ("global", "inspector")


def check_inspector(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong."""
    inspector, auth = settings.global_.inspector, settings.global_.auth
    if inspector.sign_in_by_name == "trusted" and any(network.endswith("/0") for network in auth.trusted_proxies):
        hint = "auth.trusted_proxies holds everybody, so whoever reaches the router could sign in as any user."
        yield Finding((*_INSPECTOR, "sign_in_by_name"), "off or loopback", hint=hint)

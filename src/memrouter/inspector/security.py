"""What keeps other web pages, other names of this machine and other people's browsers out. Pure."""

from typing import Final

from starlette.requests import Request

from memrouter.api.identity.networks import TrustedNetworks
from memrouter.api.identity.rebinding import (
    OwnNames,
    host_and_port,
    host_not_allowed,
    is_from_this_machine,
    was_forwarded,
)
from memrouter.config.auth import AuthSettings
from memrouter.config.inspector import InspectorSettings
from memrouter.config.settings import Listener
from memrouter.errors import Forbidden

HEADERS: Final[dict[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with it browsers send `Origin: null` with a form, and its origin could not be checked.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Headers of every answer."""
PRIVATE: Final = {"cache-control": "no-store"}
"""Headers of every answer that is about somebody."""


class Doorkeeper:
    """Tells what a request may claim by where it comes from.

    Args:
        settings: Of the inspector.
        auth: Who is believed.
        listener: What the request came in by.
    """

    def __init__(self, settings: InspectorSettings, *, auth: AuthSettings, listener: Listener) -> None:
        self._by_name = settings.sign_in_by_name if auth.mode == "trusted_header" else "off"
        self._trusts_headers = auth.mode == "trusted_header"
        self._names_operators = bool(auth.operator_groups)
        self._networks = TrustedNetworks(auth.trusted_proxies)
        self._allowed = frozenset(auth.allowed_hosts)
        self._names = OwnNames(self._allowed | {listener.address.lower().strip("[]")})

    def believes_names(self, request: Request) -> bool:
        """Return whether a name that was given to the sign-in form is believed, as the user header would be."""
        client = request.scope.get("client")
        if self._by_name == "off" or not self._networks.hold(client):
            return False
        return self._by_name == "trusted" or _is_at_this_machine(request)

    def makes_operators(self, request: Request) -> bool:
        """Return whether who is believed to have this or that name is an operator too.

        So it is where nobody is named as one, for somebody who sits at this machine: that person can be every user.
        """
        return not self._names_operators and self.believes_names(request) and _is_at_this_machine(request)

    def check_host(self, request: Request) -> None:
        """Refuse a page of another site whose name was made to lead here (DNS rebinding), where names are believed.

        Raises:
            Forbidden: The browser thinks that it talks to somebody else.
        """
        near = is_from_this_machine(request.scope.get("client")) or self.believes_names(request)
        if self._trusts_headers and near and not self._names.hold(_host_name(request.headers.get("host", ""))):
            raise host_not_allowed()

    def check_origin(self, request: Request) -> None:
        """Refuse a form that a page of another site sent.

        Raises:
            Forbidden: The browser says so, or says nothing.
        """
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            allowed = site == "same-origin"
        else:
            origin = request.headers.get("origin", "").partition("://")[2].lower()
            # A proxy may have put another name into the Host header than the browser's.
            allowed = origin != "" and (
                origin == request.headers.get("host", "").lower() or _host_name(origin) in self._allowed
            )
        if not allowed:
            raise Forbidden("this form came from another page; go back and send it again", code="origin_not_allowed")


def is_secure(request: Request) -> bool:
    """Return whether the browser came over https; who says so falsely only loses a cookie."""
    return "https" in (
        request.url.scheme,
        request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower(),
    )


def _is_at_this_machine(request: Request) -> bool:
    return is_from_this_machine(request.scope.get("client")) and not was_forwarded(request.scope)


def _host_name(host: str) -> str:
    return host_and_port(host)[0]

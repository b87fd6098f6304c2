"""What a page of another site sends without having asked whether it may (cross-site request forgery). Pure.

A browser asks first (CORS preflight) before it sends another site anything but a GET, a HEAD, or a POST in one of three
forms that HTML had from the start. Such a POST carries the cookies of a proxy that knows its users by them. The page
cannot read the answer, but a memory would be written. Every API client says that it sends JSON.
"""

from typing import Final

from starlette.types import Scope

from memrouter.api.identity.authenticator import RawHeaders
from memrouter.errors import Forbidden

_UNASKED: Final = frozenset({b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"})
_OWN_SITES: Final = frozenset({b"same-origin", b"none"})


def check_not_blind(scope: Scope) -> None:
    """Check one request.

    Raises:
        Forbidden: A page of another site sent it unasked.
    """
    if scope["method"] != "POST":
        return
    headers: RawHeaders = scope["headers"]
    named = {name: value for name, value in headers if name in (b"content-type", b"sec-fetch-site", b"origin", b"host")}
    if named.get(b"content-type", b"").partition(b";")[0].strip().lower() in _UNASKED and _is_of_another_site(named):
        raise Forbidden(
            "a web page of another site may send JSON only, with content-type: application/json",
            code="origin_not_allowed",
            param="content-type",
        )


def _is_of_another_site(named: dict[bytes, bytes]) -> bool:
    """Return whether the browser says so; ``Origin`` counts where it is too old, or its page too plain, for more."""
    site = named.get(b"sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITES
    origin = named.get(b"origin")
    return origin is not None and origin.partition(b"://")[2].lower() != named.get(b"host", b"").lower()

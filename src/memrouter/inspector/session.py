"""What a browser keeps for the inspector: one cookie with what the sign-in form was given. Pure.

The cookie is read on each request as the headers that a program would send, so a key that is revoked ends the session.
Nothing is kept by the router, so any router of a fleet can answer.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from memrouter.api.identity.authenticator import RawHeaders
from memrouter.config.auth import AuthSettings
from memrouter.errors import InvalidRequest

COOKIE: Final = "memrouter_ui"
MAX_COOKIE_CHARS: Final = 3_900
"""Browsers drop a cookie of more than 4,096 bytes with its name and attributes."""

_SECRET_BITS: Final = 256
_FORM: Final = re.compile(
    r"(?P<secret>[0-9a-f]{64})~(?P<user>[\w-]*)~(?P<project>[\w-]*)~(?P<groups>[\w-]*)~(?P<credential>[\w.~+/=-]*)",
    re.ASCII,
)
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"


@dataclass(frozen=True, slots=True)
class Session:
    """What one browser has said.

    Attributes:
        secret: 64 random hex digits, for the tokens of forms.
        credential: An API key or token; empty for none.
        user: Whose memories: where names are believed, and with the key of a service; empty for none.
        project: The user's project; empty for the default one.
        groups: Groups of the user, separated by commas; empty for none.
    """

    secret: str
    credential: str = ""
    user: str = ""
    project: str = ""
    groups: str = ""

    @classmethod
    def begin(cls, rng: Random) -> "Session":
        """Return a session of somebody who has said nothing yet."""
        return cls(secret=f"{rng.getrandbits(_SECRET_BITS):064x}")

    @classmethod
    def read(cls, headers: RawHeaders) -> "Session | None":
        """Return the session of a request; None without one, or with a cookie that is none of ours.

        Several cookies of the name are none: another site of the same domain may have set one of them.
        """
        lines = b";".join(value for name, value in headers if name == b"cookie").decode("latin-1")
        pairs = (pair.partition("=") for pair in lines.split(";"))
        values = [value.strip() for name, _, value in pairs if name.strip() == COOKIE]
        found = _FORM.fullmatch(values[0]) if len(values) == 1 else None
        if found is None:
            return None
        try:
            user, project, groups = (_decoded(found[name]) for name in ("user", "project", "groups"))
        except ValueError:
            return None
        return cls(found["secret"], found["credential"], user, project, groups)

    def cookie(self) -> str:
        """Return the value of the cookie.

        Raises:
            InvalidRequest: The credential is none, or too long for a browser to keep.
        """
        if self.credential and not _CREDENTIAL.fullmatch(self.credential):
            raise InvalidRequest("this is not a key or token; copy it again, without anything around it", param="key")
        names = (_encoded(name) for name in (self.user, self.project, self.groups))
        value = "~".join((self.secret, *names, self.credential))
        if len(value) > MAX_COOKIE_CHARS:
            raise InvalidRequest(
                "this is too long for a browser to keep; put a proxy that sends it in front of the router", param="key"
            )
        return value

    @property
    def says_somebody(self) -> bool:
        """Return whether somebody signed in."""
        return bool(self.credential or self.user)

    def form_token(self) -> str:
        """Return what a form must carry to be believed: only pages of this session can know it."""
        said = "\0".join((self.credential, self.user, self.project, self.groups))
        return hmac.new(bytes.fromhex(self.secret), said.encode(), hashlib.sha256).hexdigest()

    def proves(self, token: str) -> bool:
        """Return whether a form's token is of this session; takes equal time whatever is given."""
        return hmac.compare_digest(self.form_token().encode(), token.encode(errors="surrogatepass"))

    def headers_for(self, headers: RawHeaders, auth: AuthSettings, *, names: bool) -> RawHeaders:
        """Return the headers of a request with those that this session stands for.

        Args:
            headers: Of the request; where they say who is calling, the session says nothing.
            auth: Names of the headers.
            names: Whether a name alone is believed here.
        """
        if auth.mode == "trusted_header":
            return (*headers, *self._identity(auth)) if names and not said_by_proxy(headers, auth) else headers
        if not self.credential or _brings_credential(headers):
            return headers
        kept = [(name, value) for name, value in headers if name != _AUTHORIZATION]
        bearer = (_AUTHORIZATION, f"Bearer {self.credential}".encode())
        return (*kept, bearer, *(() if said_by_proxy(headers, auth) else self._identity(auth)))

    def _identity(self, auth: AuthSettings) -> Sequence[tuple[bytes, bytes]]:
        said: Mapping[str, str] = {
            auth.user_header: self.user,
            auth.project_header: self.project,
            auth.groups_header: self.groups,
        }
        return [(name.lower().encode(), value.encode()) for name, value in said.items() if value]


def said_by_proxy(headers: RawHeaders, auth: AuthSettings) -> bool:
    """Return whether a request has identity headers of its own."""
    names = {name.lower().encode() for name in (auth.user_header, auth.project_header, auth.groups_header)}
    return any(name in names for name, _ in headers)


def _brings_credential(headers: RawHeaders) -> bool:
    """Return whether a request says itself who is calling; what a proxy asked for with Basic is none of ours."""
    return any(
        name == _API_KEY or (name == _AUTHORIZATION and value.lower().startswith(b"bearer ")) for name, value in headers
    )


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(text: str) -> str:
    """Return what was encoded.

    Raises:
        ValueError: It was not encoded here.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except binascii.Error as error:
        raise ValueError(str(error)) from None

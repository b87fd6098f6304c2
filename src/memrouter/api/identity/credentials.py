"""Credentials as they stand in the headers of a request. Pure; no message holds any of a credential."""

import re
from typing import Final

from memrouter.api.identity.authenticator import RawHeaders
from memrouter.api.identity.identity_headers import read_values
from memrouter.errors import Unauthenticated

MAX_CREDENTIAL_CHARS: Final = 16_384
"""Longest key or token that is looked at."""
BEARER: Final = 'Bearer realm="memrouter"'

_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.ASCII | re.IGNORECASE)


def bearer_token(headers: RawHeaders) -> str | None:
    """Return the token of ``Authorization: Bearer``; None without such a header, or with one of another scheme.

    Raises:
        InvalidRequest: The header is given twice, or is not UTF-8.
        Unauthenticated: The token is no token, or too long.
    """
    value = _only(headers, _AUTHORIZATION)
    scheme = value.partition(" ")[0].lower()
    if scheme != "bearer":
        return None
    found = _BEARER.fullmatch(value)
    if found is None or len(value) > MAX_CREDENTIAL_CHARS:
        raise invalid_token("what follows Bearer in the header authorization is not a token")
    return found[1]


def api_key_header(headers: RawHeaders) -> str | None:
    """Return the header ``x-api-key``; None where it is missing, empty or too long to be a key.

    Raises:
        InvalidRequest: The header is given twice, or is not UTF-8.
    """
    value = _only(headers, _API_KEY)
    return value if 0 < len(value) <= MAX_CREDENTIAL_CHARS else None


def invalid_token(message: str) -> Unauthenticated:
    """Return the error for a credential that is not believed."""
    return Unauthenticated(message, param="authorization", challenge=f'{BEARER}, error="invalid_token"')


def _only(headers: RawHeaders, wanted: bytes) -> str:
    given = [(name, value) for name, value in headers if name == wanted]
    return read_values(given)[wanted.decode()] if given else ""

"""An API key: what is kept of it, and what its holder has."""

import base64
import hashlib
import hmac
import random
import re
from datetime import datetime
from typing import Annotated, Final

import msgspec

from memrouter.errors import InvalidRequest
from memrouter.models.memory import check_identity
from memrouter.models.turn import ORDINARY, Permission

KEY_PREFIX: Final = "mr_"
MAX_NAME_CHARS: Final = 100

_SECRET_BYTES: Final = 32
_ID_CHARS: Final = 12
_KEY = re.compile(rf"{KEY_PREFIX}(?P<id>[a-z2-7]{{{_ID_CHARS}}})_(?P<secret>[0-9a-f]{{{2 * _SECRET_BYTES}}})")
_ID = re.compile(rf"[a-z2-7]{{{_ID_CHARS}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A key without its secret, of which only the hash is kept: it has 256 random bits, so that is enough.

    Attributes:
        id: Names the key; no secret.
        sha256: Hash of the secret, as hex digits.
        user: Whose key it is; None for a service's.
        project: The only project of that user; None for any.
        groups: The user's groups.
        service: Whether its holder says in the identity headers for whom it calls.
        acts_for: The users that a service may name: whole ids, or beginnings that end in ``*``; none = all.
        name: For people.
        created: When it was made.
        expires: When it stops working; None for never.
        scopes: What its holder may do.
    """

    id: str
    sha256: str
    created: Moment
    user: str | None = None
    project: str | None = None
    groups: tuple[str, ...] = ()
    service: bool = False
    acts_for: tuple[str, ...] = ()
    name: str = ""
    expires: Moment | None = None
    scopes: tuple[Permission, ...] = tuple(sorted(ORDINARY))

    def __post_init__(self) -> None:
        """Refuse what cannot be right; ``ValueError`` says why."""
        fault = self._fault()
        if fault:
            raise ValueError(fault)

    def proves(self, secret: str) -> bool:
        """Return whether this is the key's secret; takes as long for any."""
        return hmac.compare_digest(hash_secret(secret), self.sha256)

    def has_expired(self, now_ms: int) -> bool:
        """Return whether it no longer works at ``now_ms``, milliseconds since the epoch."""
        return self.expires is not None and self.expires.timestamp() * 1000 <= now_ms

    def may_act_for(self, user: str) -> bool:
        """Return whether a service with this key may call for ``user``."""
        return not self.acts_for or any(
            user.startswith(pattern[:-1]) if pattern.endswith("*") else user == pattern for pattern in self.acts_for
        )

    def _fault(self) -> str:
        if not is_key_id(self.id) or not _SHA256.fullmatch(self.sha256):
            return "id or sha256 is not what memrouter keys create made"
        if self.service == (self.user is not None):
            return "a key has either a user or service: true"
        if self.service and (self.project is not None or self.groups):
            return "project and groups belong to a key with a user; a service sends them"
        if self.acts_for and not self.service:
            return "acts_for belongs to a key with service: true"
        if len(self.name) > MAX_NAME_CHARS or not self.name.isprintable():
            return f"a name has at most {MAX_NAME_CHARS} printable characters"
        if not self.scopes:
            return "a key needs at least one scope"
        return self._bad_identity()

    def _bad_identity(self) -> str:
        named = (("user", self.user), ("project", self.project), *(("groups", group) for group in self.groups))
        try:
            for param, value in (*named, *(("acts_for", pattern) for pattern in self.acts_for)):
                if value is not None:
                    check_identity(value, param=param)
        except InvalidRequest as error:
            return str(error)
        return ""


def new_secret(rng: random.Random) -> tuple[str, str]:
    """Return the id and the secret of a new key.

    Args:
        rng: Must be fit for secrets, such as ``random.SystemRandom``.
    """
    return base64.b32encode(rng.randbytes(8)).decode().lower()[:_ID_CHARS], rng.randbytes(_SECRET_BYTES).hex()


def is_key_id(text: str) -> bool:
    """Return whether ``text`` may name a key."""
    return _ID.fullmatch(text) is not None


def hash_secret(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def write_key(key_id: str, secret: str) -> str:
    """Return the key as its holder sends it."""
    return f"{KEY_PREFIX}{key_id}_{secret}"


def read_key(text: str) -> tuple[str, str] | None:
    """Return id and secret of a key as its holder sends it; None where it cannot be one."""
    found = _KEY.fullmatch(text)
    return (found["id"], found["secret"]) if found else None

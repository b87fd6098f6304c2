"""``global.limits``: how much one caller may ask for."""

from pydantic import Field

from memrouter.config.base import Section


class LimitSettings(Section):
    """How much one caller may ask of one router: a user, or an address where no user is known."""

    requests_per_minute: float = Field(default=0, ge=0)
    """Requests to models and memories; 0 = no limit. Above it the answer is 429 with ``retry-after``."""
    burst: int = Field(default=0, ge=0)
    """How many may come at once; 0 = a sixth of ``requests_per_minute``."""
    body_bytes_per_minute: int = Field(default=0, ge=0)
    """Bytes of request bodies; 0 = no limit. A minute's worth may come at once; one more body may exceed it."""


class CorsSettings(Section):
    """Which web pages may read the router's answers."""

    allow_origins: tuple[str, ...] = ()
    """Origins such as ``https://app.example.org``, or ``*`` for any; empty = none, and no CORS headers are sent."""

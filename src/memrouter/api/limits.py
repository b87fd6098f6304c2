"""How often one caller may ask: limits of rate and of bytes."""

import ipaddress
import math
from typing import Final

from memrouter.api.caller_times import SHARED_BYTES, CallerTimes, OwnTimes, SharedTimes
from memrouter.api.identity.authenticator import Client
from memrouter.clock import Clock
from memrouter.config.limits import LimitSettings
from memrouter.errors import RateLimited
from memrouter.observability.metrics import Metrics

MINUTE_SECONDS: Final = 60.0
_BURST_SHARE: Final = 6
_IPV6_SITE: Final = 64


class Bucket:
    """Rate limits by caller, as GCRA: of each caller only the time is kept at which all it has taken is paid off.

    Args:
        per_minute: What one caller may take in a minute, steadily.
        burst: What it may take at once; at least 1.
        clock: Tells the time.
        times: Where those times are kept; None: in this object.
    """

    def __init__(self, *, per_minute: float, burst: float, clock: Clock, times: CallerTimes | None = None) -> None:
        self._seconds_each = MINUTE_SECONDS / per_minute
        self._tolerance = burst * self._seconds_each
        self._clock = clock
        self._paid_off = OwnTimes() if times is None else times

    def __len__(self) -> int:
        return len(self._paid_off)

    def wait(self, caller: str, amount: float = 0) -> float:
        """Return the seconds until ``amount`` more may be taken; 0 for now. Takes nothing."""
        ahead = max(0.0, self._ahead(caller, self._clock.monotonic())) + amount * self._seconds_each
        return max(0.0, ahead - self._tolerance)

    def take(self, caller: str, amount: float) -> None:
        """Take ``amount``, also more than is left: then the caller waits for longer."""
        now = self._clock.monotonic()
        self._paid_off.put(caller, now + max(0.0, self._ahead(caller, now)) + amount * self._seconds_each)

    def _ahead(self, caller: str, now: float) -> float:
        """Return for how many seconds the caller is served already; below 0 for one who has been quiet."""
        paid_off = self._paid_off.get(caller)
        return 0.0 if paid_off is None else paid_off - now


class CallerLimits:
    """The configured limits of one router: one process, or several that share the memory in which they count.

    Args:
        settings: The limits; 0 stands for none.
        metrics: Counts what is refused.
        clock: Tells the time; the same for all processes, where there are several.
        shared: Memory of 2 x ``SHARED_BYTES`` that they share; None for one process.
    """

    def __init__(
        self, settings: LimitSettings, *, metrics: Metrics, clock: Clock, shared: memoryview | None = None
    ) -> None:
        rate, size = settings.requests_per_minute, settings.body_bytes_per_minute
        burst = max(1.0, settings.burst or rate / _BURST_SHARE)
        requests = None if shared is None else SharedTimes(shared[:SHARED_BYTES])
        sizes = None if shared is None else SharedTimes(shared[SHARED_BYTES : 2 * SHARED_BYTES])
        self._requests = Bucket(per_minute=rate, burst=burst, clock=clock, times=requests) if rate else None
        self._bytes = Bucket(per_minute=size, burst=size, clock=clock, times=sizes) if size else None
        self._metrics = metrics

    @property
    def are_set(self) -> bool:
        """Return whether there is any limit."""
        return self._requests is not None or self._bytes is not None

    def admit(self, caller: str) -> None:
        """Count one request of a caller.

        Raises:
            RateLimited: It may not have one now; nothing is counted.
        """
        if self._bytes is not None:
            self._refuse("bytes", self._bytes.wait(caller))
        if self._requests is not None:
            self._refuse("requests", self._requests.wait(caller, 1))
            self._requests.take(caller, 1)

    def charge(self, caller: str, size: int) -> None:
        """Count bytes of a body that have arrived; what is too much delays the caller's next request."""
        if self._bytes is not None and size:
            self._bytes.take(caller, size)

    def _refuse(self, limit: str, seconds: float) -> None:
        if seconds > 0:
            self._metrics.rate_limited(limit)
            retry_after = math.ceil(seconds)
            raise RateLimited(f"too many {limit} in a minute; try again in {retry_after} s", retry_after=retry_after)


def address_of(client: Client) -> str:
    """Return what stands for a caller who is known by its address alone; IPv6 by the first 64 bits."""
    text = str(client[0]) if client else ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "address:"
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return f"address:{mapped or ipaddress.ip_network((address.packed, _IPV6_SITE), strict=False)}"
    return f"address:{address}"

"""Until when each caller is served already: in this process, or in memory that several processes share."""

import hashlib
import struct
from typing import Final, Protocol

MAX_CALLERS: Final = 100_000
"""Callers that are told apart; past it the one who has been quiet longest is forgotten, and starts anew."""

_SLOT: Final = struct.Struct("<Qd")
_PROBES: Final = 8
SHARED_BYTES: Final = 131_072 * _SLOT.size
"""Size of the memory for one limit."""


class CallerTimes(Protocol):
    """A time for each caller."""

    def get(self, caller: str) -> float | None:
        """Return a caller's time; None for one who is not known."""
        ...

    def put(self, caller: str, time: float) -> None:
        """Note a caller's time; where there are too many, another one is forgotten."""
        ...

    def __len__(self) -> int:
        """Return how many callers are known."""
        ...


class OwnTimes:
    """Satisfies ``CallerTimes`` within one process."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._times)

    def get(self, caller: str) -> float | None:
        """See ``CallerTimes``."""
        return self._times.get(caller)

    def put(self, caller: str, time: float) -> None:
        """See ``CallerTimes``; forgets the one who has been quiet longest."""
        self._times.pop(caller, None)
        self._times[caller] = time
        if len(self._times) > MAX_CALLERS:
            del self._times[next(iter(self._times))]


class SharedTimes:
    """Satisfies ``CallerTimes`` for all processes that map the same memory, without locks.

    A hash table of fixed size: 64 bits of a digest and a time in each slot. Where the slots of a caller are taken, the
    one whose time is the earliest is forgotten. Two processes that write to one slot in the same microsecond may lose
    one of the two requests that they count; nobody is ever counted for somebody else.

    Args:
        memory: ``SHARED_BYTES`` bytes, zero at first.
    """

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._slots = len(memory) // _SLOT.size

    def __len__(self) -> int:
        return sum(1 for key, _ in _SLOT.iter_unpack(self._memory[: self._slots * _SLOT.size]) if key)

    def get(self, caller: str) -> float | None:
        """See ``CallerTimes``."""
        key = _key(caller)
        for place in self._places(key):
            held, time = _SLOT.unpack_from(self._memory, place)
            if held == key:
                return float(time)
        return None

    def put(self, caller: str, time: float) -> None:
        """See ``CallerTimes``; forgets the one of a few whose time is the earliest."""
        key = _key(caller)
        slots = [(_SLOT.unpack_from(self._memory, place), place) for place in self._places(key)]
        own = next((place for (held, _), place in slots if held == key), None)
        place = min(slots, key=lambda slot: slot[0][1] if slot[0][0] else float("-inf"))[1] if own is None else own
        _SLOT.pack_into(self._memory, place, key, time)

    def _places(self, key: int) -> list[int]:
        return [(key + probe) % self._slots * _SLOT.size for probe in range(_PROBES)]


def _key(caller: str) -> int:
    return int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=8).digest()) or 1

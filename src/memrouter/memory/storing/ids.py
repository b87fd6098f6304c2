"""Ids of memories: rising in time within a process, unique across replicas."""

from random import Random

from memrouter.clock import Clock

_COUNTER_BITS = 12
_RANDOM_BITS = 62
_VERSION = 7
_VARIANT = 0b10


class IdFactory:
    """Makes ``mem_`` ids from UUIDs of version 7 (RFC 9562, section 6.2, method 1).

    The 12 bits behind the version are a counter that starts at a random value below 2,048 in each new millisecond.
    Past 4,095, or when the clock steps back, ids go on from the last one, ahead of the clock. For one thread only.

    Args:
        clock: Tells the milliseconds.
        rng: Source of the 62 random bits that keep replicas apart, so seed no two replicas alike.
    """

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._ms = -1
        self._counter = 0

    def new(self) -> str:
        """Return an id of 36 characters that sorts behind every earlier one of this factory."""
        self._advance()
        value = self._ms << 4 | _VERSION
        value = value << _COUNTER_BITS | self._counter
        value = value << 2 | _VARIANT
        value = value << _RANDOM_BITS | self._rng.getrandbits(_RANDOM_BITS)
        return f"mem_{value:032x}"

    def _advance(self) -> None:
        now = self._clock.now_ms()
        self._counter += 1
        if now > self._ms:
            self._start(now)
        elif self._counter >> _COUNTER_BITS:
            self._start(self._ms + 1)

    def _start(self, ms: int) -> None:
        self._ms = ms
        self._counter = self._rng.getrandbits(_COUNTER_BITS - 1)

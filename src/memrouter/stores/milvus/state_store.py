"""``state`` on Milvus, which has neither transactions nor conditions."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final
from weakref import WeakValueDictionary

from memrouter.clock import Clock
from memrouter.errors import StoreUnavailable
from memrouter.stores.milvus.connection import Consistency
from memrouter.stores.milvus.expressions import one_of, quoted
from memrouter.stores.milvus.fact_collection import KEYS_AT_ONCE, FactCollection
from memrouter.stores.milvus.facts import CLAIM, REMOVED, VALUE, Fact, Slot, encoded, fact_key, slots_of
from memrouter.stores.milvus.finisher import Finisher
from memrouter.stores.milvus.rows import NEVER
from memrouter.stores.milvus.sightings import Sightings
from memrouter.stores.state import MAX_NAME_CHARS, StateEntry, check_name, check_value

CLAIM_SECONDS: Final = 3.0
"""How long after it claimed a version a write may still begin, which is one call."""

CLAIM_TRIES: Final = 6
"""How often a claim is made anew where another router made one in the same moment."""

PAUSE_SECONDS: Final = 0.02
"""Longest pause before the second try; twice as long before each further one."""

FORGOTTEN_MS: Final = 600_000
"""How long after its end a version is remembered, so that the next one is higher though clocks differ."""

SWEEP_SECONDS: Final = 60.0
"""How often a process removes what is over."""

_VERSIONS_PER_MS: Final = 1000


class MilvusState:
    """Satisfies ``StateStore`` with one collection.

    A write is one insert of a higher version, after which lower ones are removed. A write with a condition claims the
    version that it replaces first: of routers that claim it at once none goes on, each takes its claim back and tries
    again after a random pause. So it takes twice as long as a write without one, which does not wait for claims and may
    be replaced by one that meets it. Versions are made from the time, below 2**53.

    Writers of one entry take turns in this process.

    Args:
        facts: Where the entries are kept.
        finisher: Has writes go on to their end.
        clock: Makes versions, and measures how long a claim is known.
        rng: Makes keys, and spreads the tries of several routers.
    """

    def __init__(self, facts: FactCollection, *, finisher: Finisher, clock: Clock, rng: random.Random) -> None:
        self._facts = facts
        self._finisher = finisher
        self._clock = clock
        self._rng = rng
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._sightings = Sightings(clock)
        self._claim_seconds = CLAIM_SECONDS + facts.longest_call
        self._swept = clock.monotonic()

    async def get(self, space: str, key: str, *, now: int) -> StateEntry | None:
        """See ``StateStore.get``."""
        slot = await self._slot(_wanted(space, key, VALUE), text=True)
        found = slot.living(now)
        return None if found is None else found.entry()

    async def put(
        self,
        space: str,
        key: str,
        value: bytes,
        *,
        now: int,
        expires_at: int | None = None,
        if_version: int | None = None,
    ) -> int | None:
        """See ``StateStore.put``.

        A write with a condition that meets others from other routers again and again is not made.
        """
        expiry = NEVER if expires_at is None else min(expires_at, NEVER)
        fresh = _wanted(space, key, VALUE, expires_at=expiry, text=encoded(check_value(value)))
        condition = None if if_version is None else lambda slot: _version(slot.living(now)) == if_version
        version = await self._finisher.finish(self._replace(fresh, condition))
        await self._sweep(min(now, self._clock.now_ms()) - FORGOTTEN_MS)
        return version

    async def remove(self, space: str, key: str, *, if_version: int | None = None) -> bool:
        """See ``StateStore.remove``; for some minutes a note of the version stays."""
        removal = _wanted(space, key, REMOVED, expires_at=self._clock.now_ms())
        if (await self._slot(removal)).held is None:
            return False
        condition = None if if_version is None else lambda slot: _version(slot.held) == if_version != 0
        return await self._finisher.finish(self._replace(removal, condition)) is not None

    async def entries(self, space: str, *, now: int) -> AsyncIterator[StateEntry]:
        """See ``StateStore.entries``; the small fields of the whole space are held meanwhile."""
        small = slots_of(await self._facts.where(f"space == {quoted(check_name(space))}"))
        keys = [fact.key for slot in small.values() if (fact := slot.living(now)) is not None]
        for first in range(0, len(keys), KEYS_AT_ONCE):
            part = keys[first : first + KEYS_AT_ONCE]
            found = {fact.key: fact for fact in await self._facts.texts(part)}
            for wanted in part:
                if wanted in found:
                    yield found[wanted].entry()

    async def spaces(self, prefix: str = "") -> AsyncIterator[str]:
        """See ``StateStore.spaces``; the small fields of all of them are held meanwhile."""
        where = 'key != ""'
        if prefix:
            last = check_name(prefix) + "~" * MAX_NAME_CHARS  # no character of a name comes after this one
            where = f"space >= {quoted(prefix)} and space <= {quoted(last)}"
        slots = slots_of(await self._facts.where(where))
        for space in sorted({space for (space, _), slot in slots.items() if slot.held is not None}):
            if space.startswith(prefix):
                yield space

    async def drop(self, space: str) -> None:
        """See ``StateStore.drop``; for some minutes notes of the versions stay."""
        slots = slots_of(await self._facts.where(f"space == {quoted(check_name(space))}"))
        held = {name: slot for (_, name), slot in slots.items() if slot.held is not None}
        if held:
            await self._finisher.finish(self._drop(space, held))

    async def _drop(self, space: str, held: Mapping[str, Slot]) -> None:
        now = self._clock.now_ms()
        notes = [self._next(_wanted(space, name, REMOVED, expires_at=now), slot) for name, slot in held.items()]
        await self._facts.add(notes)
        await self._facts.shown()
        await self._facts.remove(key for slot in held.values() for key in slot.value_keys())

    async def _replace(self, fresh: Fact, condition: Callable[[Slot], bool] | None) -> int | None:
        """Write a value or a removal; return its version, or None where the condition does not hold."""
        lock = self._locks.setdefault((fresh.space, fresh.name), asyncio.Lock())
        async with lock:
            slot = await self._slot(fresh)
            if condition is None:
                return await self._write(fresh, slot)
            for attempt in range(CLAIM_TRIES):
                if not condition(slot):
                    return None
                began, claim = self._clock.monotonic(), self._claim(fresh, slot)
                await self._facts.add([claim])
                slot = await self._slot(fresh, level="Strong")
                if self._claimed(claim, slot) and self._clock.monotonic() - began < CLAIM_SECONDS:
                    return await self._write(fresh, slot, claim.key)
                await self._facts.remove([claim.key])
                await asyncio.sleep(PAUSE_SECONDS * 2**attempt * self._rng.random())
                slot = await self._slot(fresh, level="Strong")
        return None

    async def _write(self, fresh: Fact, slot: Slot, *claims: str) -> int:
        """Write the next version, wait until every reader sees it, and remove what it replaces."""
        fact = self._next(fresh, slot)
        await self._facts.add([fact])
        await self._facts.shown()
        await self._facts.remove([*claims, *slot.value_keys()])
        return fact.version

    def _next(self, fresh: Fact, slot: Slot) -> Fact:
        """Return a value or a removal with its key and a version above all that were ever seen."""
        drawn = self._clock.now_ms() * _VERSIONS_PER_MS + self._rng.randrange(_VERSIONS_PER_MS)
        return replace(fresh, key=self._key(fresh), version=max(drawn, slot.basis + 1))

    def _claim(self, fresh: Fact, slot: Slot) -> Fact:
        now = self._clock.now_ms()
        return _wanted(fresh.space, fresh.name, CLAIM, key=self._key(fresh), version=slot.basis, expires_at=now)

    def _claimed(self, claim: Fact, slot: Slot) -> bool:
        """Return whether nobody else is about to replace the version of a claim, nor has replaced it."""
        others = [other.key for other in slot.claims if other.version == claim.version and other.key != claim.key]
        living = [key for key in others if self._sightings.seconds(key) < self._claim_seconds]
        return slot.basis == claim.version and not living

    def _key(self, fact: Fact) -> str:
        return fact_key(fact.space, fact.name, f"{self._rng.getrandbits(64):016x}")

    async def _slot(self, wanted: Fact, *, level: Consistency = "Eventually", text: bool = False) -> Slot:
        """Return what is known of an entry."""
        facts = await self._facts.one(wanted.space, wanted.name, level=level, text=text)
        return slots_of(facts).get((wanted.space, wanted.name), Slot())

    async def _sweep(self, before: int) -> None:
        """Remove what was over before some time, if this process has not done so for a while."""
        if self._clock.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = self._clock.monotonic()
        with suppress(StoreUnavailable):  # what was to be written is written
            over = await self._facts.where(f"expires_at < {before}")
            names = sorted({fact.name for fact in over})
            for first in range(0, len(names), KEYS_AT_ONCE):
                facts = await self._facts.where(one_of("name", names[first : first + KEYS_AT_ONCE]))
                for slot in slots_of(facts).values():
                    await self._facts.remove(slot.over(before))


def _wanted(
    space: str, name: str, kind: str, *, expires_at: int = NEVER, text: str = "", key: str = "", version: int = 0
) -> Fact:
    """Return an entity under names that were looked at.

    Raises:
        ValueError: One of the names is out of bounds.
    """
    return Fact(key, check_name(space), check_name(name), kind, version=version, expires_at=expires_at, text=text)


def _version(fact: Fact | None) -> int:
    return 0 if fact is None else fact.version

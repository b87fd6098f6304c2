"""Carries what is written to one store over to another, whatever else is written to either meanwhile."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from memrouter.errors import StoreError
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.joined import joined
from memrouter.stores.proofs import Proof, Proofs
from memrouter.stores.query import Filter, MergeMode, ScanQuery, StoreQuery

MAX_OWED: Final = 100_000
"""Most owners of whom it is remembered that the new store lacks something."""
MAX_OWED_IDS: Final = 500
"""Most memories of one owner remembered one by one; past it the whole owner is carried over."""
BATCH: Final = 500
"""Most memories in one write to the new store."""
ATTEMPTS: Final = 4
"""How often an owner who is being written to is read again before others have their turn."""

Ids: TypeAlias = frozenset[str] | None
"""Which memories of an owner; None for all of them."""


class NotKept(StoreError):
    """The new store does not give back what was written to it."""


async def generation(store: MemoryStore, user_id: str) -> int:
    """Return the number that every write to a user's memories raises; reads no memory."""
    answer = await store.search(Scope(user_id, None), StoreQuery(vector=None, k=1, now=0))
    return answer.generation


class Mirror:
    """Makes the new store equal to the old one, owner by owner. It writes to the new one alone.

    No operation is replayed: memories are read from the old store as they are, written to the new one, and read again
    where the old store's generation has moved meanwhile. So it converges in whatever order the writes of several
    routers come, and doing it twice does no harm.

    What was written is *owed* until the new store has it. An owner is *doubtful* from a write until all of the owner's
    memories were compared and found equal, which gives a proof. Nothing is noted before ``start``; whoever calls it
    has everybody compared afterwards.

    Attributes:
        failures: How often something could not be carried over and had to be tried again.
        wake: Set when there is something to do in the background: doubtful owners, or a stop.

    Args:
        old: Is only read.
        new: Takes everything; what the old store does not have is removed from it.
    """

    def __init__(self, old: MemoryStore, new: MemoryStore) -> None:
        self._old = old
        self._new = new
        self._proofs = Proofs()
        self._owed: dict[str, set[str] | None] = {}
        self._on_the_way: set[str] = set()
        self._doubtful: dict[str, None] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._started = False
        self.failures = 0
        self.wake = asyncio.Event()

    @property
    def started(self) -> bool:
        """Return whether the new store may be written to."""
        return self._started

    @property
    def dirty(self) -> int:
        """Return how many owners have yet to be compared, of those written to or found different."""
        return len(self._doubtful)

    def start(self) -> None:
        """Note what is written from now on, and carry it over."""
        self._started = True

    def stop(self) -> None:
        """Forget what is owed, such as when it is too much; after ``start`` everybody has to be compared again."""
        self._started = False
        self._owed.clear()
        self._doubtful.clear()
        self.wake.set()

    def proof(self, user_id: str) -> Proof | None:
        """Return the last proof that an owner's memories are equal; it holds if both generations still stand."""
        return self._proofs.get(user_id)

    def owes(self, user_id: str) -> bool:
        """Return whether the new store lacks something that was noted."""
        return user_id in self._owed or user_id in self._on_the_way

    def doubtful(self) -> list[str]:
        """Return the owners who are to be compared, the one who has waited longest first."""
        return list(self._doubtful)

    def doubt(self, user_id: str) -> None:
        """Have an owner compared in the background."""
        if self._started:
            self._doubtful[user_id] = None
            self.wake.set()

    def note(self, user_id: str, ids: Ids) -> None:
        """Remember that these memories were written to the old store, or may have been."""
        if not self._started:
            return
        if user_id not in self._owed and len(self._owed) >= MAX_OWED:
            self.stop()
            return
        self._owe(user_id, None if ids is None else set(ids))
        self.doubt(user_id)

    def lock(self, user_id: str) -> asyncio.Lock:
        """Return the lock that this router holds while it changes an owner's memories in the new store."""
        lock = self._locks.get(user_id)
        if lock is None:
            lock = self._locks[user_id] = asyncio.Lock()
        return lock

    async def carry(self, user_id: str) -> None:
        """Bring over what is owed; the owner stays doubtful, unless the whole owner was owed.

        Raises:
            StoreError: One of the stores failed; what was owed is still owed.
        """
        if self._owed.get(user_id, ()) is None:
            await self.sync(user_id)
            return
        async with self.lock(user_id):
            for _ in range(ATTEMPTS):
                if await self._carry(user_id):
                    return

    async def sync(self, user_id: str) -> bool:
        """Compare all memories of an owner, and mend the new store until they are equal.

        Returns:
            Whether they are; else the owner was written to all the while, and stays doubtful.

        Raises:
            NotKept: The old store stood still, and yet the new one was different every time.
            StoreError: One of the stores failed; what was owed is still owed.
        """
        seen: set[int] = set()
        async with self.lock(user_id):
            for _ in range(ATTEMPTS):
                proof, mended = await self._compare(user_id)
                seen.add(proof.old)
                if not mended:
                    self._believe(user_id, proof)
                    return True
        if len(seen) == 1:
            self.failures += 1
            raise NotKept("the new store does not give back what was written to it")
        if self._doubtful.pop(user_id, 0) is None:
            self.doubt(user_id)  # at the end of the row
        return False

    async def _compare(self, user_id: str) -> tuple[Proof, int]:
        """Read everything and mend what differs; return the generations before, and how many memories differed."""
        with self._taken(user_id):
            proof = Proof(await generation(self._old, user_id), await generation(self._new, user_id))
            return proof, await self._mend(user_id)

    async def _mend(self, user_id: str) -> int:
        scope, query, mended = Scope(user_id, None), ScanQuery(user_id=user_id), 0
        missing: list[MemoryRecord] = []
        surplus: set[str] = set()
        async for pair in joined(self._old.scan(query), self._new.scan(query)):
            if pair.same:
                continue
            mended += 1
            if pair.left is not None:
                missing.append(pair.left)
            elif pair.right is not None:
                surplus.add(pair.right.id)
            if len(missing) + len(surplus) >= BATCH:
                await self._write(scope, missing, surplus)
                missing, surplus = [], set()
        await self._write(scope, missing, surplus)
        return mended

    async def _carry(self, user_id: str) -> bool:
        """Return whether what was owed was brought over, and the old store stood still meanwhile.

        A debt of the whole owner is left to the comparison.
        """
        with self._taken(user_id) as owed:
            if not owed:
                self._owe(user_id, owed)
                return True
            scope = Scope(user_id, None)
            before = await generation(self._old, user_id)
            present = await self._old.get(scope, sorted(owed), now=0)
            await self._write(scope, present, owed - {record.id for record in present})
            stood = await generation(self._old, user_id) == before
            if not stood:
                self._owe(user_id, owed)
            return stood

    async def _write(self, scope: Scope, missing: list[MemoryRecord], surplus: set[str]) -> None:
        if surplus:
            await self._new.delete(scope, Filter(ids=frozenset(surplus)))
        if missing:
            await self._new.merge(missing, mode=MergeMode.REPLACE)

    def _believe(self, user_id: str, proof: Proof) -> None:
        self._proofs.keep(user_id, proof)
        if user_id not in self._owed:
            self._doubtful.pop(user_id, None)

    @contextmanager
    def _taken(self, user_id: str) -> Iterator[set[str] | None]:
        """Give what an owner is owed; it is still owed where the body fails. Needs the owner's lock."""
        owed = self._owed.pop(user_id, set())
        if owed is None or owed:
            self._on_the_way.add(user_id)
        try:
            yield owed
        except BaseException:
            self.failures += 1
            if self._started:
                self._owe(user_id, owed)
            raise
        finally:
            self._on_the_way.discard(user_id)

    def _owe(self, user_id: str, ids: set[str] | None) -> None:
        """Add to what is owed; an empty set changes nothing."""
        if ids is not None and not ids:
            return
        held = self._owed.get(user_id, set())
        together = None if held is None or ids is None else held | ids
        self._owed[user_id] = None if together is None or len(together) > MAX_OWED_IDS else together

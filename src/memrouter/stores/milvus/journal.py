"""Writing entities: one insert is one step, and what it replaces is removed behind it."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from memrouter.clock import Clock
from memrouter.stores.milvus.collection import Collection
from memrouter.stores.milvus.connection import Connection, Consistency, Row
from memrouter.stores.milvus.expressions import GENERATION, OPEN, one_of
from memrouter.stores.milvus.fence import Fence
from memrouter.stores.milvus.reader import CONTENT, IDS_AT_ONCE, OwnerReader
from memrouter.stores.milvus.rows import SECOND_MS, meta_row
from memrouter.stores.milvus.sightings import Sightings
from memrouter.stores.milvus.state import RANDOM_BITS, OwnerState

GRAVE_SECONDS: Final = 600
"""How long it is remembered that a memory was deleted: no change that was under way then is still under way."""

REVOKE_SECONDS: Final = 3.0
"""How long after its beginning a change may still be taken back, which is one call."""

LOOK_SECONDS: Final = 0.05
"""Pause between two looks at such a change of another router."""

MARKS_KEPT: Final = 1000
"""Of so many such changes it is remembered that this process has settled them."""

KEYS_AT_ONCE: Final = 1000
"""Most primary keys in one deletion."""


@dataclass(slots=True)
class Change:
    """What is to be done for one owner.

    Attributes:
        state: What the owner was like.
        number: Which the entities name that are added.
        rows: Entities to add.
        garbage: Keys of entities that say nothing any more once those are added.
        raises: Whether the owner's generation rises.
    """

    state: OwnerState
    number: int
    rows: list[Row] = field(default_factory=list)
    garbage: list[str] = field(default_factory=list)
    raises: bool = True


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that can be taken back.

    Attributes:
        change: What was done.
        mark: Key of the entity that says so.
        garbage: Keys of entities that say nothing any more once it stands.
        began: When it was begun, in seconds from some fixed point.
    """

    change: Change
    mark: str
    garbage: list[str]
    began: float


class Journal:
    """The writes to one collection.

    A change is one insert, which Milvus shows to every reader whole or not at all, the new generation number with it.
    Then what it replaces is removed, and the call ends when the server shows the insert to every reader that does not
    ask for more than ``Eventually``: so reads need not wait, in whatever router they are.

    Writers of one owner take turns in this process; what one of them has inserted is known to the next before the
    server shows it.

    A change may also be proposed: it has a mark then, and what it replaces stays, so that it can be taken back by
    removing what it has added. Every writer waits until a mark is gone, so that nothing is built on what goes again.

    Args:
        connection: Runs the calls.
        collection: Where to write.
        reader: Reads owners.
        fence: Tells whether the collection may be written to.
        clock: Tells when something was deleted.
        rng: Makes keys.
    """

    def __init__(
        self,
        connection: Connection,
        collection: Collection,
        reader: OwnerReader,
        *,
        fence: Fence,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._connection = connection
        self._name = collection.name
        self._layout = collection.layout
        self._reader = reader
        self._fence = fence
        self._clock = clock
        self._rng = rng
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}
        self._unseen: dict[str, dict[str, Row]] = {}
        self._settled: deque[str] = deque(maxlen=MARKS_KEPT)
        self._sightings = Sightings(clock)
        self._settle_seconds = REVOKE_SECONDS + connection.longest_call

    def nonce(self) -> str:
        """Return 16 hex digits that nobody else has."""
        return f"{self._rng.getrandbits(64):016x}"

    def now(self) -> int:
        """Return milliseconds since the epoch."""
        return self._clock.now_ms()

    def change(self, state: OwnerState) -> Change:
        """Return a change that does nothing yet."""
        return Change(state, state.following | self._rng.getrandbits(RANDOM_BITS))

    @asynccontextmanager
    async def turn(self, users: Iterable[str]) -> AsyncIterator[None]:
        """Hold off the other writers of some owners."""
        async with AsyncExitStack() as stack:
            for user in sorted(set(users)):
                await stack.enter_async_context(self._turn(user))
            yield

    async def states(
        self, users: Sequence[str], parts: Sequence[str], *, more: Sequence[str] = ()
    ) -> dict[str, OwnerState]:
        """Return what owners are like, with what was written by this process and is not shown yet.

        Args:
            users: The owners.
            parts: What a memory has to fulfil to be read, one query each.
            more: What to read beside the small fields.

        Raises:
            SchemaMismatch: The collection was reindexed meanwhile.
            StoreUnavailable: It takes no writes now, or the server failed.
        """
        await self._fence.check_writable()
        states = await self._look(users, parts, more, "Eventually")
        while open_ := self._open(states):
            if min(open_.values()) >= self._settle_seconds:
                await self._recover([user for user, state in states.items() if self._open({user: state})])
            await asyncio.sleep(LOOK_SECONDS)
            states = await self._look(users, parts, more, "Strong")
        return states

    async def insert(self, changes: Mapping[str, Change]) -> None:
        """Do what is to be done for some owners, in one step, and remove what it replaces.

        Args:
            changes: By owner; the caller has the turn of each.
        """
        garbage = await self._added(changes, marked=False)
        await self._removed(garbage)

    async def proposed(self, user: str, change: Change) -> Proposal:
        """Do what is to be done for one owner, in one step, so that it can be taken back.

        Args:
            user: The owner; the caller has the turn, and keeps it until the change is concluded or taken back.
            change: What to do; of kinds that raise the generation.
        """
        began = self._clock.monotonic()
        garbage = await self._added({user: change}, marked=True)
        return Proposal(change, str(change.rows[-1][self._layout.key]), garbage, began)

    def revocable(self, proposal: Proposal, after: OwnerState) -> bool:
        """Return whether a change can still be taken back: nobody can have built on it.

        Args:
            proposal: The change.
            after: What the owner is like now.
        """
        marked = proposal.mark in after.marks and proposal.change.number not in after.known
        return marked and self._clock.monotonic() - proposal.began < REVOKE_SECONDS

    async def concluded(self, proposal: Proposal) -> None:
        """Have a change stand, and remove what it replaces."""
        self._settled.append(proposal.mark)
        await self._removed([proposal.mark, *proposal.garbage])

    async def withdrawn(self, user: str, proposal: Proposal, after: OwnerState) -> None:
        """Take a change back.

        First nobody sees it any more, then the generation rises, then the mark goes: so a change that was planned
        while this one was seen finds another generation.
        """
        added = [str(row[self._layout.key]) for row in proposal.change.rows]
        added.remove(proposal.mark)
        await self._connection.delete(self._name, one_of(self._layout.key, added))  # at once, so never a part of it
        await self._visible()
        row = self._generation(user, self.change(after), self._clock.now_ms())
        await self._connection.insert(self._name, [row])
        self._settled.append(proposal.mark)
        await self._removed([proposal.mark])
        await self._visible()

    async def shown(
        self, changes: Mapping[str, Change], *, memories: str = "", more: Sequence[str] = CONTENT
    ) -> dict[str, OwnerState]:
        """Wait until the server shows a change to every reader, and return what the owners are like then.

        Args:
            changes: What was inserted.
            memories: What a memory has to fulfil to be read.
            more: What to read beside the small fields.

        Raises:
            SchemaMismatch: The collection was reindexed meanwhile; the change may be lost.
            StoreUnavailable: It took no writes any more, or the server failed; the change may be lost.
        """
        try:
            await self._fence.check_writable()
            return await self._reader.states(list(changes), memories=memories, more=more, level="Strong")
        finally:
            for user, change in changes.items():
                self._forget(user, change.rows)

    async def _look(
        self, users: Sequence[str], parts: Sequence[str], more: Sequence[str], level: Consistency
    ) -> dict[str, OwnerState]:
        rows = [row for user in users for row in self._unseen.get(user, {}).values()]
        for part in dict.fromkeys(parts):
            rows += await self._reader.rows(users, memories=part, more=more, level=level)
        return await self._reader.resolved(rows, users)

    def _open(self, states: Mapping[str, OwnerState]) -> dict[str, float]:
        """Return the marks of changes that other routers have made and may take back; how long each is known."""
        marks = (mark for state in states.values() for mark in state.marks if mark not in self._settled)
        return {mark: self._sightings.seconds(mark) for mark in marks}

    async def _recover(self, users: Sequence[str]) -> None:
        """Have changes stand whose routers were killed in them, and remove what they have replaced."""
        states = await self._reader.states(users, level="Strong")
        changes = {user: self.change(state) for user, state in states.items()}
        for change in changes.values():
            change.garbage += change.state.marks  # first: what has no mark is not taken back
        await self.insert(changes)
        await self.shown(changes, memories=self._reader.with_ids(["~"]), more=())

    async def _visible(self) -> None:
        """Wait until the server shows every reader what was written before."""
        await self._connection.query(self._name, one_of(self._layout.key, ["~"]), [self._layout.key], level="Strong")

    async def _added(self, changes: Mapping[str, Change], *, marked: bool) -> list[str]:
        """Add the entities of some changes; return the keys of what they replace."""
        now = self._clock.now_ms()
        garbage: list[str] = []
        for user, change in changes.items():
            garbage += change.garbage + change.state.garbage
            if change.raises:
                garbage += await self._old_graves(user, change.state, now)
                change.rows.append(self._generation(user, change, now))
                garbage += change.state.generations
            if marked:
                change.rows.append(meta_row(user, OPEN, self.nonce(), change.number, layout=self._layout, now=now))
        await self._connection.insert(self._name, [row for change in changes.values() for row in change.rows])
        for user, change in changes.items():
            self._unseen.setdefault(user, {}).update({str(row[self._layout.key]): row for row in change.rows})
        return garbage

    async def _removed(self, garbage: Iterable[str]) -> None:
        """Remove entities that say nothing any more."""
        keys = list(dict.fromkeys(garbage))
        for first in range(0, len(keys), KEYS_AT_ONCE):
            part = keys[first : first + KEYS_AT_ONCE]
            await self._connection.delete(self._name, one_of(self._layout.key, part))

    async def _old_graves(self, user: str, state: OwnerState, now: int) -> list[str]:
        """Return the keys of deletions that need not be remembered longer, behind those of what is still there."""
        old = [grave for grave in state.graves if grave.at + GRAVE_SECONDS < now // SECOND_MS]
        if not old:
            return []
        ids = sorted({memory_id for grave in old for memory_id in grave.ids})
        found: list[str] = []
        for first in range(0, len(ids), IDS_AT_ONCE):
            found += (await self._reader.some(user, ids[first : first + IDS_AT_ONCE], more=())).garbage
        return [*found, *(grave.key for grave in old)]

    def _generation(self, user: str, change: Change, now: int) -> Row:
        """Return the entity with the owner's next generation number."""
        said = [change.number, len(change.rows), *sorted(change.state.sizes)]
        return meta_row(user, GENERATION, self.nonce(), said, layout=self._layout, now=now)

    def _forget(self, user: str, rows: Iterable[Row]) -> None:
        unseen = self._unseen.get(user, {})
        for row in rows:
            unseen.pop(str(row[self._layout.key]), None)
        if not unseen:
            self._unseen.pop(user, None)

    @asynccontextmanager
    async def _turn(self, user: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(user, asyncio.Lock())
        self._waiting[user] = self._waiting.get(user, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                del self._waiting[user], self._locks[user]

"""Two stores as one, while the memories move from the old one to the new one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

from memrouter.clock import Clock
from memrouter.errors import StoreError, StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.base import Capabilities, MemoryStore
from memrouter.stores.circuit import Circuit
from memrouter.stores.migrating_state import PATIENCE_SECONDS, MigratingState
from memrouter.stores.mirror import Ids, Mirror, generation
from memrouter.stores.proofs import Proof
from memrouter.stores.query import (
    Candidates,
    Change,
    Filter,
    ListQuery,
    Merged,
    MergeMode,
    Page,
    ScanPage,
    ScanQuery,
    ScopeStats,
    StoreQuery,
)
from memrouter.stores.state import StateStore
from memrouter.stores.state_mirror import StateMirror

T = TypeVar("T")

CARRY_SECONDS: Final = 1.0
"""How long a write that has been made waits until the new store has it too."""
PAUSE_SECONDS: Final = 2.0
"""How long a store that failed is left alone by requests."""


class MigratingStore:
    """Satisfies ``MemoryStore``; behaves as the old store does, and reads from the new one once it may.

    Every write goes to the old store first, and its result is the caller's; then the new store gets it, before the
    call returns where that is quick, else in the background. So the old store is complete at any time, and going
    back is always safe.

    Reads are the old store's until ``switch``. From then on a read is answered by the new store where the owner is
    proven equal (see ``Proof``) at the old store's present generation, which is asked for beside; else by the old
    one. So no read is older than the last write that returned, whichever router made it. The generation of an answer
    is the old store's, so that what is kept under it elsewhere holds across the switch and back; it is negative, and
    the new store's, where the old one cannot be asked.

    Where the new store fails, reads go to the old one at once, and stay there (``reads_new``) until somebody calls
    ``switch`` again. Where the old store fails after the switch, reads go on from the new one, unless something that
    this router wrote has not arrived there; writes raise ``StoreUnavailable``.

    ``scan``, ``count``, ``commit`` and ``check`` are the old store's.

    Args:
        old: What is moved; closed with this one.
        new: Where it goes; closed with this one.
        mirror: Of these two.
        clock: Times the pauses after failures.

    Attributes:
        left: Set when reads went back to the old store.
        facts: Brings over what ``state`` keeps.
    """

    def __init__(self, old: MemoryStore, new: MemoryStore, mirror: Mirror, *, clock: Clock) -> None:
        self._old = old
        self._new = new
        self._mirror = mirror
        self._reads_new = False
        self._old_circuit = Circuit(clock=clock, pause=PAUSE_SECONDS)
        self._carry_circuit = Circuit(clock=clock, pause=PAUSE_SECONDS)
        self.left = asyncio.Event()
        self.facts = StateMirror(old, new, clock=clock, wake=mirror.wake)
        self._state = MigratingState(
            old,
            new,
            self.facts,
            circuit=self._old_circuit,
            started=lambda: mirror.started,
            reads_new=lambda: self.reads_new,
            carried=self._carried,
        )

    @property
    def capabilities(self) -> Capabilities:
        """Return what the store is that reads go to."""
        return self._new.capabilities if self.reads_new else self._old.capabilities

    @property
    def reads_new(self) -> bool:
        """Return whether reads go to the new store where that is safe."""
        return self._reads_new and self._mirror.started

    def switch(self) -> None:
        """Let reads go to the new store."""
        self.left.clear()
        self._reads_new = True

    def leave(self) -> None:
        """Let reads go to the old store alone."""
        self._reads_new = False
        self.left.set()

    async def create(self, records: Sequence[MemoryRecord], *, unique_content: bool = False) -> list[str]:
        """See ``MemoryStore.create``."""
        async with self._writing(_by_owner(records)):
            return await self._old.create(records, unique_content=unique_content)

    async def get(self, scope: Scope, ids: Sequence[str], *, now: int) -> list[MemoryRecord]:
        """See ``MemoryStore.get``."""
        return await self._read(scope, lambda store: store.get(scope, ids, now=now))

    async def list(self, scope: Scope, query: ListQuery) -> Page:
        """See ``MemoryStore.list``."""
        return await self._read(scope, lambda store: store.list(scope, query))

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        """See ``MemoryStore.search``."""
        if not self.reads_new:
            return await self._search_old(scope, query)
        proof = self._mirror.proof(scope.user_id)
        if proof is None:
            current = await self._old_generation(scope)
        else:
            current, answer = await asyncio.gather(
                self._old_generation(scope), self._attempt(self._new.search(scope, _for_new(query, proof)))
            )
            if answer is None and current is not None:
                self.leave()
            elif answer is not None and self._fits(proof, scope, old=current, new=answer.generation):
                return replace(answer, generation=proof.old)
        if current is None:
            return await self._search_new_alone(scope, query)
        self._mirror.doubt(scope.user_id)
        return await self._search_old(scope, query)

    async def touch(self, scope: Scope, ids: Sequence[str], *, now: int) -> int:
        """See ``MemoryStore.touch``; counted in both, one call after the other for each owner."""
        if not self._mirror.started:
            return await self._old.touch(scope, ids, now=now)
        async with self._mirror.lock(scope.user_id):
            counted = await self._old.touch(scope, ids, now=now)
            if counted and not await self._carried(self._new.touch(scope, ids, now=now)):
                self._mirror.doubt(scope.user_id)
        return counted

    async def delete(self, scope: Scope, where: Filter) -> int:
        """See ``MemoryStore.delete``."""
        async with self._writing({scope.user_id: where.ids}):
            return await self._old.delete(scope, where)

    async def stats(self, scope: Scope, *, now: int) -> ScopeStats:
        """See ``MemoryStore.stats``."""
        return await self._read(scope, lambda store: store.stats(scope, now=now))

    def scan(self, query: ScanQuery) -> AsyncIterator[ScanPage]:
        """See ``MemoryStore.scan``."""
        return self._old.scan(query)

    async def merge(self, records: Sequence[MemoryRecord], *, mode: MergeMode) -> Sequence[Merged]:
        """See ``MemoryStore.merge``."""
        async with self._writing(_by_owner(records)):
            return await self._old.merge(records, mode=mode)

    async def commit(self, change: Change) -> int | None:
        """See ``MemoryStore.commit``."""
        async with self._writing({change.user_id: change.ids}):
            return await self._old.commit(change)

    @property
    def state(self) -> StateStore:
        """See ``MemoryStore.state`` and ``MigratingState``."""
        return self._state

    async def count(self, user_id: str | None) -> int:
        """See ``MemoryStore.count``."""
        return await self._old.count(user_id)

    async def check(self) -> None:
        """See ``MemoryStore.check``."""
        await self._old.check()

    async def aclose(self) -> None:
        """Close both stores."""
        self.leave()
        try:
            await self._new.aclose()
        finally:
            await self._old.aclose()

    async def _read(self, scope: Scope, ask: Callable[[MemoryStore], Awaitable[T]]) -> T:
        """Return an answer that says nothing of a generation, from the store that may give it."""
        if not self.reads_new:
            return await ask(self._old)
        current = await self._old_generation(scope)
        if current is None:
            self._require_nothing_owed(scope)
            return await ask(self._new)
        proof = self._mirror.proof(scope.user_id)
        if proof is not None and proof.old == current:
            answer = await self._attempt(self._with_generation(scope, ask))
            if answer is None:
                self.leave()
            elif answer[1] == proof.new:
                return answer[0]
        self._mirror.doubt(scope.user_id)
        return await ask(self._old)

    async def _with_generation(self, scope: Scope, ask: Callable[[MemoryStore], Awaitable[T]]) -> tuple[T, int]:
        """Return the new store's answer, and its generation after that."""
        return await ask(self._new), await generation(self._new, scope.user_id)

    async def _search_old(self, scope: Scope, query: StoreQuery) -> Candidates:
        known = query.known_generation
        return await self._old.search(scope, replace(query, known_generation=None) if (known or 0) < 0 else query)

    async def _search_new_alone(self, scope: Scope, query: StoreQuery) -> Candidates:
        self._require_nothing_owed(scope)
        answer = await self._new.search(scope, _for_new(query, None))
        return replace(answer, generation=-1 - answer.generation)

    async def _old_generation(self, scope: Scope) -> int | None:
        """Return the owner's generation in the old store; None where that cannot be asked now."""
        if not self._old_circuit.allows():
            return None
        current = await self._attempt(generation(self._old, scope.user_id))
        if current is None:
            self._old_circuit.failed()
        else:
            self._old_circuit.succeeded()
        return current

    async def _attempt(self, call: Awaitable[T]) -> T | None:
        """Return the result; None where the store failed or was too slow."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await call
        except (StoreError, TimeoutError):
            return None

    def _fits(self, proof: Proof, scope: Scope, *, old: int | None, new: int) -> bool:
        """Return whether an answer of the new store is as good as the old one's, which may not be asked now."""
        return new == proof.new and (old == proof.old or (old is None and not self._mirror.owes(scope.user_id)))

    def _require_nothing_owed(self, scope: Scope) -> None:
        if self._mirror.owes(scope.user_id):
            raise StoreUnavailable(
                "the old memory store cannot be reached, and the new one does not have this user's last changes yet"
            )

    @asynccontextmanager
    async def _writing(self, changes: Mapping[str, Ids]) -> AsyncIterator[None]:
        """Carry over what a write changed; one that failed may have been made, and is looked for later."""
        try:
            yield
        except BaseException:
            for user_id in changes:
                self._mirror.doubt(user_id)
            raise
        for user_id, ids in changes.items():
            self._mirror.note(user_id, ids)
        self._old_circuit.succeeded()
        if self._mirror.started:
            await self._carried(self._carry(changes))

    async def _carry(self, users: Iterable[str]) -> None:
        for user_id in users:
            await self._mirror.carry(user_id)

    async def _carried(self, call: Coroutine[Any, Any, object]) -> bool:
        """Return whether the new store has taken something; what it has not is left to the background."""
        if not self._carry_circuit.allows():
            call.close()
            return False
        try:
            async with asyncio.timeout(CARRY_SECONDS):
                await call
        except (StoreError, TimeoutError):
            self._carry_circuit.failed()
            return False
        self._carry_circuit.succeeded()
        return True


def _by_owner(records: Sequence[MemoryRecord]) -> dict[str, Ids]:
    ids: dict[str, set[str]] = {}
    for record in records:
        ids.setdefault(record.user_id, set()).add(record.id)
    return {user_id: frozenset(own) for user_id, own in ids.items()}


def _for_new(query: StoreQuery, proof: Proof | None) -> StoreQuery:
    """Return the query with the generation that the caller holds as the new store numbers it."""
    known = query.known_generation
    if proof is not None and known == proof.old:
        return replace(query, known_generation=proof.new)
    return replace(query, known_generation=None if known is None or known >= 0 else -1 - known)

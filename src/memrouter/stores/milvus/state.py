"""What an owner's entities say together. They are only ever added and removed, so that any mix of them has one meaning.

A memory stands in its entity of the highest version, unless a deletion names its birth. So a reader that meets old and
new entities side by side, as while a change is being made or after a router was killed in it, sees one state.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import Any, Final

from msgspec.structs import replace

from memrouter.models.memory import MemoryRecord, owner_key
from memrouter.stores.milvus.connection import Row
from memrouter.stores.milvus.expressions import ACCESS, GENERATION, GONE, META_TYPES, OPEN, meta_user
from memrouter.stores.milvus.rows import Held, held_in, meta_of
from memrouter.stores.milvus.schema import Layout

RANDOM_BITS: Final = 20
"""Low bits of a change's number, drawn so that two routers never give the same number to two changes."""

_LOW: Final = (1 << RANDOM_BITS) - 1

BUCKETS: Final = 16
"""Entities over which an owner's access counts are spread."""


@dataclass(frozen=True, slots=True)
class Access:
    """How often and when last a memory was retrieved.

    Attributes:
        birth: That of the memory; counts of another one under the same id do not count.
        count: How often.
        last: When last, in milliseconds.
    """

    birth: str
    count: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Grave:
    """One entity that says which memories were deleted.

    Attributes:
        key: Its primary key.
        at: When, in seconds since the epoch.
        ids: Their ids.
    """

    key: str
    at: int
    ids: frozenset[str]


@dataclass(slots=True)
class OwnerState:
    """What is known of one owner.

    Attributes:
        memories: The memories that stand, by id; those that were read.
        garbage: Keys of entities that no longer say anything.
        generations: Keys of the entities that tell of changes.
        sizes: How many entities came with each of these changes, by its number.
        known: The changes that one of these was made in the knowledge of.
        changes: How many entities were met of each change.
        graves: What was deleted lately.
        buckets: Keys of the entities with access counts, by bucket.
        access: Access counts by memory id.
        marks: Keys of the entities that say of a change that it may still be taken back.
        rivals: Where routers changed a memory at once: by its id, the entities of the same version that do not stand.
    """

    memories: dict[str, Held] = field(default_factory=dict)
    garbage: list[str] = field(default_factory=list)
    generations: list[str] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    changes: Counter[int] = field(default_factory=Counter)
    graves: list[Grave] = field(default_factory=list)
    buckets: dict[int, list[str]] = field(default_factory=dict)
    access: dict[str, Access] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    rivals: dict[str, list[Held]] = field(default_factory=dict)

    def keys(self, memory_id: str) -> list[str]:
        """Return the keys of the entities of a memory that are of its greatest version."""
        held = self.memories.get(memory_id)
        return [one.key for one in (*([] if held is None else [held]), *self.rivals.get(memory_id, ()))]

    @property
    def generation(self) -> int:
        """Return the owner's generation number; 0 where nothing was ever written.

        It tells of the set of changes that are seen and that no later one knew: where two routers wrote at once,
        neither hides the other's, and it stays the same when what tells of older changes is removed.
        """
        mixed = reduce(xor, (change & _LOW for change in self.sizes.keys() - self.known), 0)
        return max(self.sizes, default=0) & ~_LOW | mixed

    @property
    def following(self) -> int:
        """Return the least number that the next change may have; its low bits are to be drawn."""
        return (max(self.sizes, default=0) >> RANDOM_BITS) + 1 << RANDOM_BITS

    @property
    def torn(self) -> bool:
        """Return whether a change is only half there: a server may show one partition before another."""
        return self.ahead or any(self.changes[change] != size for change, size in self.sizes.items())

    @property
    def ahead(self) -> bool:
        """Return whether something is seen of a change that the generation does not tell of yet.

        What told of an old change may have been removed; then a change that stands has a greater number, but for the
        low bits, than that one, and so has every change that nobody knows of it.
        """
        oldest = min(self.sizes, default=1) >> RANDOM_BITS
        untold = self.changes.keys() - self.sizes.keys() - self.known
        return any(change and change >> RANDOM_BITS >= oldest for change in untold)

    def record(self, held: Held) -> MemoryRecord:
        """Return a memory with its access counts: those that stand apart, or its own where they are the greater."""
        access, own = self.access.get(held.record.id), held.record
        if access is None or access.birth != held.birth:
            return own
        count, last = max(access.count, own.access_count), max(access.last or 0, own.last_accessed or 0)
        return replace(own, access_count=count, last_accessed=last or None)

    def records(self) -> list[MemoryRecord]:
        """Return all memories that were read, with their access counts."""
        return [self.record(held) for held in self.memories.values()]


def bucket_of(memory_id: str) -> int:
    """Return which entity has the access counts of a memory."""
    return int(owner_key(memory_id)[:4], 16) % BUCKETS


def resolve(
    rows: Iterable[Row], users: Iterable[str], layout: Layout, *, embedding_model: str
) -> dict[str, OwnerState]:
    """Return the state of each of some owners; entities of others are passed by.

    Args:
        rows: Fields of entities, whoever's they are; an entity may come twice.
        users: The owners.
        layout: Of the collection.
        embedding_model: Name of the store's model.
    """
    states = {user: OwnerState() for user in users}
    by_meta = {meta_user(user): user for user in states}
    dead: dict[str, set[tuple[str, str]]] = {user: set() for user in states}
    found: dict[str, list[Held]] = {user: [] for user in states}
    for row in {str(row[layout.key]): row for row in rows}.values():
        user, kind = str(row["user_id"]), str(row["memory_type"])
        if kind in META_TYPES:
            owner = by_meta.get(user)
            if owner is not None:
                _note(states[owner], dead[owner], kind, str(row[layout.key]), row)
        elif user in states:
            held = held_in(row, layout, embedding_model=embedding_model)
            if held is not None:
                found[user].append(held)
                states[user].changes[held.change] += 1
    for user, state in states.items():
        _stand(state, found[user], dead[user])
    return states


def _note(state: OwnerState, dead: set[tuple[str, str]], kind: str, key: str, row: Row) -> None:
    said = meta_of(row)
    if kind == GENERATION and isinstance(said, list):
        number, size, *known = (int(part) for part in said)
        state.generations.append(key)
        state.sizes[number] = size
        state.known.update(known)
    elif kind == GONE and isinstance(said, dict):
        pairs = {(str(pair[0]), str(pair[1])) for pair in said["gone"]}
        state.changes[int(said["change"])] += 1
        dead |= pairs
        state.graves.append(Grave(key, int(row.get("created_at") or 0), frozenset(pair[0] for pair in pairs)))
    elif kind == ACCESS and isinstance(said, dict):
        state.buckets.setdefault(int(said["bucket"]), []).append(key)
        _join(state.access, said["counts"])
    elif kind == OPEN:
        state.marks.append(key)


def _join(access: dict[str, Access], counts: Mapping[str, Sequence[Any]]) -> None:
    """Take in the counts of one entity; where two routers counted at once, the greater numbers stand."""
    for memory_id, (birth, count, last) in counts.items():
        known = access.get(memory_id)
        if known is None or known.birth != birth:
            access[memory_id] = Access(birth, count, last)
        else:
            access[memory_id] = Access(birth, max(known.count, count), max(known.last or 0, last or 0) or None)


def _stand(state: OwnerState, found: Iterable[Held], dead: set[tuple[str, str]]) -> None:
    """Find which entities stand for their memories and which are garbage."""
    for held in sorted(found, key=lambda held: held.rank, reverse=True):
        best = state.memories.get(held.record.id)
        if (held.record.id, held.birth) in dead:
            state.garbage.append(held.key)
        elif best is None:
            state.memories[held.record.id] = held
        elif best.version == held.version:
            state.rivals.setdefault(held.record.id, []).append(held)
        else:
            state.garbage.append(held.key)

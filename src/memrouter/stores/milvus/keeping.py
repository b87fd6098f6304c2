"""Keeping the copy of a collection equal to it while routers write to it; the model is asked for elsewhere."""

from collections.abc import AsyncIterator, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from memrouter.models.memory import Scope, owner_key
from memrouter.stores.milvus.outline import Difference, Side, difference, pieces
from memrouter.stores.milvus.reader import EVERYTHING
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.query import Filter, MergeMode
from memrouter.stores.reindexing import Text

OWNERS_AT_ONCE: Final = 50
"""Owners whose small fields are compared at a time."""


@dataclass(slots=True)
class Looked:
    """A comparison of some owners.

    Attributes:
        memories: How many memories were looked at.
        embed: Owners and ids of those that lack a new vector.
    """

    memories: int = 0
    embed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Equal:
    """An owner whose copy was found equal.

    Attributes:
        mark: The owner's mark then.
        memories: How many memories the owner had.
    """

    mark: frozenset[str]
    memories: int


class Keeping:
    """Compares a collection with its copy, and makes equal what can be without the model.

    Args:
        old: The collection.
        copy: Its copy, which has vectors of another model.
        fresh: Writes the copy.
        equal: Owners that were found equal; kept from one pass to the next.
    """

    def __init__(self, old: Side, copy: Side, fresh: MilvusStore, equal: MutableMapping[str, Equal]) -> None:
        self.old = old
        self._copy = copy
        self._fresh = fresh
        self._equal = equal

    async def pass_over_all(self) -> AsyncIterator[Looked]:
        """Go once through all owners, some at a time; those that have not changed are not compared again."""
        for users in groups({*await self.old.users(), *await self._copy.users()}):
            yield await self._look(users)

    async def texts(self, names: Sequence[tuple[str, str]]) -> list[Text]:
        """Return the texts of memories that are there still, by owner and id."""
        wanted: dict[str, set[str]] = {}
        for user, memory_id in names:
            wanted.setdefault(user, set()).add(memory_id)
        found = [record for user, ids in wanted.items() for record in await self.old.records(user, ids)]
        return [Text(f"{record.id}\0{record.user_id}", record.content) for record in found]

    async def _look(self, users: Sequence[str]) -> Looked:
        looked, changed = Looked(), []
        marks = await self.old.marks(users) if self.old.marked else {}
        for user in users:
            equal = self._equal.get(user)
            if equal is not None and equal.mark == marks.get(user):
                looked.memories += equal.memories
            else:
                changed.append(user)
        if changed:
            await self._compare(changed, looked)
        return looked

    async def _compare(self, users: Sequence[str], looked: Looked) -> None:
        theirs, ours = await self.old.outlines(users), await self._copy.outlines(users)
        for user in users:
            found = difference(theirs[user], ours[user])
            looked.memories += len(theirs[user].records)
            looked.embed += [(user, memory_id) for memory_id in sorted(found.embed)]
            if found:
                await self._mend(user, found)
            else:
                self._equal[user] = Equal(theirs[user].mark, len(theirs[user].records))

    async def _mend(self, user: str, found: Difference) -> None:
        """Remove from the copy what is gone, and bring in fields that are not as they were."""
        if found.remove:
            await self._fresh.delete(Scope(user, None), Filter(ids=found.remove))
        for ids in pieces(found.refresh):
            made = {record.id: record for record in await self._copy.records(user, ids, more=EVERYTHING)}
            records = [
                replace(record, embedding=made[record.id].embedding, embedding_model=made[record.id].embedding_model)
                for record in await self.old.records(user, ids)
                if record.id in made and made[record.id].content == record.content
            ]
            await self._fresh.merge(records, mode=MergeMode.REPLACE)


def groups(users: Iterable[str]) -> list[list[str]]:
    """Return users in the order of their owner keys, as many at a time as are compared at a time."""
    each = sorted(users, key=owner_key)
    return [each[first : first + OWNERS_AT_ONCE] for first in range(0, len(each), OWNERS_AT_ONCE)]

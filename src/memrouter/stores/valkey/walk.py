"""Going through an owner's memories, newest first, in steps that keep the server free for others."""

from collections.abc import AsyncIterator

from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Filter
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.keys import Keys
from memrouter.stores.valkey.reader import RowReader
from memrouter.stores.valkey.scripts import WALK
from memrouter.stores.valkey.selection import Visibility, selection
from memrouter.stores.word_matcher import WordMatcher

STEP = 500
"""Memories that one script looks at: about 2 ms of the server's time."""


class Walker:
    """Walks over the memories of one store.

    Args:
        connection: Runs the scripts.
        keys: Names the keys.
        reader: Reads the rows.
    """

    def __init__(self, connection: Connection, keys: Keys, reader: RowReader) -> None:
        self._connection = connection
        self._keys = keys
        self._reader = reader

    async def walk(
        self,
        scope: Scope,
        where: Filter,
        *,
        now: int,
        show: Visibility,
        words: WordMatcher | None = None,
        at_most: int | None = None,
    ) -> AsyncIterator[list[MemoryRecord]]:
        """Yield the scope's memories that match, in lists, newest first.

        Args:
            scope: Whose memories.
            where: Which of them; ``ids`` are not looked at.
            now: Milliseconds since the epoch.
            show: Which of the hidden ones are among them.
            words: Leave out most of what holds none of these; the caller still has to ask each.
            at_most: Look at no more memories than this; None for all.
        """
        owner = self._keys.of_scope(scope)
        chosen = selection(owner.base, scope, where, now=now, show=show)
        wanted = [] if words is None else ["1", *words.ascii_words]
        last, created, looked, seen = b"", b"0", STEP, 0
        while looked == STEP and (at_most is None or seen < at_most):
            last, created, looked, rows, access = await self._connection.script(
                WALK, [owner.ids, owner.access], [*chosen, last, created, STEP, *wanted]
            )
            seen += looked
            yield await self._reader.records(scope, rows, access)

"""Replies of scripts and searches become records, checked against the scope once more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from memrouter.models.memory import MemoryRecord, Scope, owner_key
from memrouter.stores.valkey.packed import PACKED_FIELDS, unpack
from memrouter.stores.valkey.rows import Row, access_count, to_record

logger = logging.getLogger(__name__)

T = TypeVar("T")

INLINE_ROWS = 256
"""Up to this many rows are read in the event loop: about 1 ms."""

_SEPARATOR = b"\xff"


class RowReader:
    """Reads rows of one store.

    Args:
        dimension: Length of the store's vectors.
        embedding_model: Name of the store's model.
        on_foreign: Raises where the store was reindexed, so that this reader's model is not its own any more; asked
            when a vector of another model or length is met. Where it does not raise, such memories are left out.
    """

    def __init__(
        self, *, dimension: int, embedding_model: str, on_foreign: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._dimension = dimension
        self._embedding_model = embedding_model
        self._on_foreign = on_foreign
        self._told = False

    async def records(
        self, scope: Scope, rows: Sequence[Row | None], access: Sequence[bytes | None]
    ) -> list[MemoryRecord]:
        """Return the memories of ``scope`` behind rows, in their order; what is no memory of it is left out.

        Args:
            scope: Whose memories the rows should be.
            rows: Packed rows, or those of the Go router's memories.
            access: For each row its access entry.

        Raises:
            SchemaMismatch: The store was reindexed meanwhile.
        """
        return await self._checked(partial(self._of_scope, scope, rows, access), len(rows))

    async def columns(
        self, scope: Scope, packed: bytes, contents: bytes, vectors: bytes, access: Sequence[bytes | None]
    ) -> list[MemoryRecord]:
        """Do as ``records`` for packed rows that come field by field, as ``SCAN`` gives them.

        Raises:
            ValueError: There is a row that somebody broke.
        """
        return await self._checked(partial(self._of_columns, scope, packed, contents, vectors, access), len(access))

    def read(self, scope: Scope, rows: Sequence[Row | None], access: Sequence[bytes | None]) -> list[MemoryRecord]:
        """Do as ``records``, at once; memories with vectors of another model are left out."""
        return self._of_scope(scope, rows, access, False)

    async def of_owners(
        self, groups: Sequence[tuple[str, Sequence[Row], Sequence[bytes | None]]]
    ) -> list[list[MemoryRecord]]:
        """Return the memories behind packed rows of several owners.

        Args:
            groups: For each owner the owner key, rows and access entries.
        """
        return await self._checked(partial(self._of_owners, groups), sum(len(rows) for _, rows, _ in groups))

    async def _checked(self, read: Callable[[bool], T], size: int) -> T:
        """Return what ``read(True)`` gives, or ``read(False)`` where it met vectors of another model."""
        try:
            return read(True) if size <= INLINE_ROWS else await asyncio.to_thread(read, True)
        except _ForeignVectors:
            if self._on_foreign is not None:
                await self._on_foreign()
        if not self._told:
            self._told = True
            logger.warning(
                "memories with vectors of another model are left out; make them anew: memrouter reindex "
                "--embedding-model %s", self._embedding_model,
            )  # fmt: skip
        return await asyncio.to_thread(read, False)

    def _of_scope(
        self, scope: Scope, rows: Sequence[Row | None], access: Sequence[bytes | None], strict: bool
    ) -> list[MemoryRecord]:
        return [record for record in self._all(rows, access, strict) if scope.covers(record)]

    def _of_columns(
        self,
        scope: Scope,
        packed: bytes,
        contents: bytes,
        vectors: bytes,
        access: Sequence[bytes | None],
        strict: bool,
    ) -> list[MemoryRecord]:
        if not access:
            return []
        counts = [access_count(entry) for entry in access]
        rows, texts = packed.split(_SEPARATOR), contents.split(_SEPARATOR)
        records = unpack(rows, texts, vectors, counts, dimension=self._dimension)
        return [record for record in self._own(records, strict) if scope.covers(record)]

    def _of_owners(
        self, groups: Sequence[tuple[str, Sequence[Row], Sequence[bytes | None]]], strict: bool
    ) -> list[list[MemoryRecord]]:
        return [
            [record for record in self._all(rows, access, strict) if owner_key(record.user_id) == owner]
            for owner, rows, access in groups
        ]

    def _all(self, rows: Sequence[Row | None], access: Sequence[bytes | None], strict: bool) -> list[MemoryRecord]:
        """Return the memories behind rows; those with vectors of another model are left out.

        Raises:
            _ForeignVectors: There are such, and ``strict``.
        """
        found = [(row, entry) for row, entry in zip(rows, access, strict=True) if row is not None]
        if found and len(found[0][0]) != len(PACKED_FIELDS):
            adopted = [
                to_record(row, entry, dimension=self._dimension, embedding_model=self._embedding_model)
                for row, entry in found
            ]
            return [record for record in adopted if record is not None]
        size = 4 * self._dimension
        whole = [pair for pair in found if all(pair[0])]
        fitting = [pair for pair in whole if len(pair[0][2] or b"") == size]
        try:
            records = self._unpacked(fitting)
        except ValueError:  # a row that somebody broke: leave that one out
            records = [record for pair in fitting for record in self._tolerant(pair)]
        if strict and len(fitting) < len(whole):
            raise _ForeignVectors
        return self._own(records, strict)

    def _own(self, records: list[MemoryRecord], strict: bool) -> list[MemoryRecord]:
        own = [record for record in records if record.embedding_model == self._embedding_model]
        if strict and len(own) < len(records):
            raise _ForeignVectors
        return own

    def _unpacked(self, pairs: Sequence[tuple[Row, bytes | None]]) -> list[MemoryRecord]:
        packed, contents, vectors = ([row[place] or b"" for row, _ in pairs] for place in range(len(PACKED_FIELDS)))
        counts = [access_count(entry) for _, entry in pairs]
        return unpack(packed, contents, b"".join(vectors), counts, dimension=self._dimension)

    def _tolerant(self, pair: tuple[Row, bytes | None]) -> list[MemoryRecord]:
        try:
            return self._unpacked([pair])
        except ValueError:
            return []


class _ForeignVectors(Exception):
    """A row has a vector of another model or length than the reader's."""

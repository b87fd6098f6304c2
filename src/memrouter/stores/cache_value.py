"""A store's answer as the bytes that the hot cache keeps, and back."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from memrouter.models.history import HistoryEntry
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source, Trust
from memrouter.stores.query import Candidates
from memrouter.stores.vectors import to_matrix

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Answers that take more are not kept."""
_SEAL_BYTES: Final = 16


class _Memory(msgspec.Struct, array_like=True):
    """A memory without its vector and its owner, who is the one who asks."""

    id: str
    project_id: str
    type: MemoryType
    content: str
    source: Source
    trust: Trust
    importance: float
    created_at: int
    updated_at: int
    last_accessed: int | None
    expires_at: int | None
    access_count: int
    conversation_id: str | None
    turn_index: int | None
    role: str | None
    superseded_by: str | None
    quarantine: str | None
    pinned: bool
    links: tuple[str, ...]
    history: tuple[HistoryEntry, ...]


class _Answer(msgspec.Struct, array_like=True):
    generation: int
    read_at: int
    complete: bool
    dimension: int
    embedding_model: str
    scores: list[float] | None
    memories: list[_Memory]
    vectors: bytes


_DECODER = msgspec.msgpack.Decoder(_Answer)


@dataclass(frozen=True, slots=True, eq=False)
class HeldAnswer:
    """An answer that the cache gave back.

    Attributes:
        records: Its memories, in order.
        scores: Their scores, if it had any.
        complete: Whether it was everything visible.
        generation: The owner's generation that it stands for.
        read_at: The time that it was asked for, in milliseconds since the epoch.
    """

    records: Sequence[MemoryRecord]
    scores: Sequence[float] | None
    complete: bool
    generation: int
    read_at: int

    def at(self, now: int) -> Candidates | None:
        """Return the answer for a later time of the same generation, without what has expired since.

        None where that cannot be told: ``now`` is before the answer, or one of the nearest has expired and another
        memory would take its place.
        """
        seen = [record.visible(now) for record in self.records]
        if now < self.read_at or not (self.complete or all(seen)):
            return None
        scores = self.scores
        return Candidates(
            records=[record for record, visible in zip(self.records, seen, strict=True) if visible],
            scores=None if scores is None else [score for score, visible in zip(scores, seen, strict=True) if visible],
            complete=self.complete,
            generation=self.generation,
        )


def least_bytes(answer: Candidates) -> int:
    """Return a size that the bytes of ``answer`` will not fall short of."""
    return sum(record.embedding.size * 4 + len(record.content) for record in answer.records or ())


def pack(answer: Candidates, scope: Scope, *, digest: str, read_at: int) -> bytes | None:
    """Return the bytes to keep, or None for an answer that is not to be kept.

    Args:
        answer: With its records.
        scope: Who asked.
        digest: Of the question; the bytes are of no use under another.
        read_at: The time that was asked for, in milliseconds since the epoch.
    """
    records = answer.records or ()
    models = {record.embedding_model for record in records}
    shapes = {record.embedding.shape for record in records}
    if len(models) > 1 or len(shapes) > 1 or not all(scope.covers(record) for record in records):
        return None
    held = _Answer(
        generation=answer.generation,
        read_at=read_at,
        complete=answer.complete,
        dimension=shapes.pop()[0] if shapes else 0,
        embedding_model=models.pop() if models else "",
        scores=None if answer.scores is None else list(answer.scores),
        memories=[_memory(record) for record in records],
        vectors=b"".join(np.ascontiguousarray(record.embedding, dtype="<f4").tobytes() for record in records),
    )
    try:
        payload = msgspec.msgpack.encode(held)
    except (UnicodeEncodeError, OverflowError):  # a lone surrogate or a number past 64 bits
        return None
    value = _seal(payload, digest) + payload
    return value if len(value) <= MAX_VALUE_BYTES else None


def unpack(value: bytes, scope: Scope, *, digest: str) -> HeldAnswer | None:
    """Return the answer behind ``pack``; None for bytes that it did not make, for this question, as they are."""
    payload = value[_SEAL_BYTES:]
    if len(value) > MAX_VALUE_BYTES or value[:_SEAL_BYTES] != _seal(payload, digest):
        return None
    try:
        held = _DECODER.decode(payload)
        records = _records(held, scope)
    except (msgspec.DecodeError, ValueError):
        return None
    if (held.scores is not None and len(held.scores) != len(records)) or not all(map(scope.covers, records)):
        return None
    return HeldAnswer(records, held.scores, held.complete, held.generation, held.read_at)


def _seal(payload: bytes, digest: str) -> bytes:
    return hmac.digest(digest.encode(), payload, "sha256")[:_SEAL_BYTES]


def _memory(record: MemoryRecord) -> _Memory:
    return _Memory(
        id=record.id,
        project_id=record.project_id,
        type=record.type,
        content=record.content,
        source=record.source,
        trust=record.trust,
        importance=record.importance,
        created_at=record.created_at,
        updated_at=record.updated_at,
        last_accessed=record.last_accessed,
        expires_at=record.expires_at,
        access_count=record.access_count,
        conversation_id=record.conversation_id,
        turn_index=record.turn_index,
        role=record.role,
        superseded_by=record.superseded_by,
        quarantine=record.quarantine,
        pinned=record.pinned,
        links=record.links,
        history=record.history,
    )


def _records(held: _Answer, scope: Scope) -> list[MemoryRecord]:
    size = held.dimension * 4
    if len(held.vectors) != size * len(held.memories):
        msg = "the vectors do not fit the memories"
        raise ValueError(msg)
    matrix = to_matrix([held.vectors], dimension=held.dimension * len(held.memories))
    vectors = matrix.reshape(len(held.memories), held.dimension)
    user, model = scope.user_id, held.embedding_model
    return [
        MemoryRecord(  # by position: a third of the time
            m.id, user, m.content, vector, model, m.created_at, m.updated_at, m.project_id, m.type, m.source, m.trust,
            m.importance, m.last_accessed, m.expires_at, m.access_count, m.conversation_id, m.turn_index, m.role,
            m.superseded_by, m.quarantine, m.pinned, m.links, m.history,
        )
        for m, vector in zip(held.memories, vectors, strict=True)
    ]  # fmt: skip

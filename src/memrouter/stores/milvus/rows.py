"""A memory as an entity, and back; entities of the Go router are read too.

An entity is never changed: a change adds one of a higher version, then removes the old one. What is more than the Go
router's fields hold stands in ``metadata`` under ``memrouter``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from memrouter.errors import InvalidRequest
from memrouter.models.memory import (
    DEFAULT_PROJECT,
    MemoryRecord,
    MemoryType,
    Source,
    Trust,
    Vector,
    content_digest,
    owner_key,
    unit,
)
from memrouter.stores.milvus.connection import Row
from memrouter.stores.milvus.expressions import meta_user, storable
from memrouter.stores.milvus.schema import Layout
from memrouter.stores.trail import trail_of, with_trail
from memrouter.stores.vectors import UNIT_TOLERANCE

NEVER: Final = 2**62
"""When that is over which does not expire."""

SECOND_MS: Final = 1000
_OURS: Final = "memrouter"
_SECONDS_BELOW: Final = 10**11
"""Times below this are seconds, as the Go router writes them: 10**11 seconds is the year 5138."""

_TYPES = {member.value: member for member in MemoryType}
_SOURCES = {member.value: member for member in Source}
_NO_VECTOR: Vector = np.zeros(0, dtype=np.float32)
_decode = msgspec.json.decode
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A memory as it stands in the collection.

    Attributes:
        record: The memory; its content is empty and its vector has no numbers where they were not read.
        key: Primary key of its entity.
        birth: Drawn when the memory was added; stays the same over its changes.
        version: Rises with each change.
        nonce: Drawn for this version; of equal versions the one with the greatest nonce stands.
        change: The owner's generation number that came with it; 0 where the Go router wrote it.
    """

    record: MemoryRecord
    key: str
    birth: str
    version: int
    nonce: str
    change: int

    @property
    def rank(self) -> tuple[int, str, str]:
        """Return what is greatest for the entity that stands for its id."""
        return self.version, self.nonce, self.key


def digest_of(content: str) -> str:
    """Return 32 hex digits under which equal contents are found."""
    return content_digest(content)[:32]


def memory_row(held: Held, layout: Layout) -> Row:
    """Return the entity of a memory.

    Raises:
        InvalidRequest: A text does not fit the collection.
    """
    record = held.record
    row: Row = {
        "id": record.id,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "memory_type": record.type.value,
        "content": record.content,
        "source": record.source.value,
        "metadata": _encode(_metadata(held)).decode(),
        "embedding": record.embedding,
        "created_at": record.created_at // SECOND_MS,
        "updated_at": record.updated_at // SECOND_MS,
        "access_count": record.access_count,
        "importance": float(record.importance),
        layout.key: held.key,
    }
    if layout.own:
        row["digest"] = digest_of(record.content)
        row["live_until"] = _live_until(record)
    _check_sizes(row, layout)
    return row


def meta_row(user_id: str, kind: str, nonce: str, content: object, *, layout: Layout, now: int) -> Row:
    """Return an entity that is no memory: it belongs to an owner, and no search for the owner's memories finds it.

    Args:
        user_id: The owner.
        kind: Its ``memory_type``.
        nonce: Makes its key.
        content: What it says, for JSON.
        layout: Of the collection.
        now: Milliseconds since the epoch.
    """
    key = f"{meta_user(user_id)}{nonce}"
    row: Row = {
        "id": key,
        "user_id": meta_user(user_id),
        "project_id": DEFAULT_PROJECT,
        "memory_type": kind,
        "content": "",
        "source": "",
        "metadata": _encode(content).decode(),
        "embedding": _direction(key, layout.dimension),
        "created_at": now // SECOND_MS,
        "updated_at": now // SECOND_MS,
        "access_count": 0,
        "importance": 0.0,
        layout.key: key,
    }
    if layout.own:
        row |= {"digest": "", "live_until": 0}
    return row


def meta_of(row: Row) -> Any:
    """Return what an entity that is no memory says; None where it cannot be read."""
    return _parsed(row.get("metadata"))


def new_key(memory_id: str, user_id: str, nonce: str, layout: Layout) -> str:
    """Return the primary key of a new entity of a memory."""
    if layout.own:
        return f"{owner_key(user_id)}:{memory_id}:{nonce}"
    name = f"{memory_id}~{nonce}"
    if len(name.encode()) <= layout.sizes["id"]:
        return name
    return f"{hashlib.sha256(memory_id.encode()).hexdigest()[:32]}~{nonce}"


def held_in(row: Row, layout: Layout, *, embedding_model: str) -> Held | None:
    """Return the memory of an entity; None where there is none that this store can serve.

    What the entity lacks is taken from its ``metadata`` or gets its default, and its vector is normalised.

    Args:
        row: Fields of the entity; ``content`` and ``embedding`` may be left out.
        layout: Of the collection.
        embedding_model: Name of the store's model; entities do not name theirs.
    """
    metadata = _parsed(row.get("metadata"))
    metadata = metadata if isinstance(metadata, dict) else {}
    ours = metadata.get(_OURS)
    ours = ours if isinstance(ours, dict) else {}
    vector = _vector(row.get("embedding"), layout)
    memory_id = str(ours.get("id") or row["id"])
    if vector is None or not storable(memory_id):
        return None
    try:
        record = _record(row, metadata, ours, memory_id, vector, embedding_model)
        return Held(
            record=record,
            key=str(row[layout.key]),
            birth=str(ours.get("birth", "")),
            version=int(ours.get("version", 0)),
            nonce=str(ours.get("nonce", "")),
            change=int(ours.get("change", 0)),
        )
    except (TypeError, ValueError):
        return None  # written by somebody else, and no memory


def _record(
    row: Row, metadata: Mapping[str, Any], ours: Mapping[str, Any], memory_id: str, vector: Vector, model: str
) -> MemoryRecord:
    importance = ours.get("importance", row.get("importance"))
    created = ours.get("created_at", _milliseconds(row.get("created_at")))
    last = ours.get("last_accessed", _milliseconds(metadata.get("last_accessed")) or None)
    record = MemoryRecord(
        id=memory_id,
        user_id=str(row["user_id"]),
        content=str(row.get("content", "")),
        embedding=vector,
        embedding_model=model,
        created_at=int(created),
        updated_at=int(ours.get("updated_at", _milliseconds(row.get("updated_at")) or created)),
        project_id=str(row.get("project_id") or metadata.get("project_id") or DEFAULT_PROJECT),
        type=_TYPES.get(str(row.get("memory_type")), MemoryType.EPISODIC),
        source=_SOURCES.get(str(row.get("source")), Source.EXTRACTION),
        trust=Trust(ours.get("trust", Trust.MODEL)),
        importance=min(1.0, max(0.0, float(0.5 if importance is None else importance))),
        last_accessed=None if last is None else int(last),
        expires_at=ours.get("expires_at"),
        access_count=int(row.get("access_count") or 0),
        conversation_id=ours.get("conversation_id"),
        turn_index=ours.get("turn_index"),
        role=ours.get("role"),
        superseded_by=ours.get("superseded_by"),
        quarantine=ours.get("quarantine"),
    )
    return with_trail(record, ours.get("trail"))


def _metadata(held: Held) -> dict[str, object]:
    """Return what the Go router writes and, apart from it, what only we know."""
    record = held.record
    return {
        "user_id": record.user_id,
        "project_id": record.project_id,
        "source": record.source.value,
        "importance": record.importance,
        "access_count": record.access_count,
        "last_accessed": (record.last_accessed or 0) // SECOND_MS,
        _OURS: {
            "id": record.id,
            "birth": held.birth,
            "version": held.version,
            "nonce": held.nonce,
            "change": held.change,
            "trust": record.trust.value,
            "importance": float(record.importance),
            "created_at": record.created_at,
            "updated_at": record.updated_at,
            "last_accessed": record.last_accessed,
            "expires_at": record.expires_at,
            "conversation_id": record.conversation_id,
            "turn_index": record.turn_index,
            "role": record.role,
            "superseded_by": record.superseded_by,
            "quarantine": record.quarantine,
            "trail": trail_of(record),
        },
    }


def _live_until(record: MemoryRecord) -> int:
    if record.superseded_by is not None or record.quarantine is not None:
        return 0
    return NEVER if record.expires_at is None else min(record.expires_at, NEVER)


def _check_sizes(row: Row, layout: Layout) -> None:
    for name, most in layout.sizes.items():
        try:
            size = len(str(row[name]).encode())
        except UnicodeEncodeError:
            raise InvalidRequest("a text holds a lone surrogate and cannot be stored") from None
        if size > most:
            raise InvalidRequest(f"{name} has {size} bytes; this collection keeps at most {most}", param=name)
    if not storable(row["id"]) and layout.own:
        raise InvalidRequest("an id holds a control character or is too long", param="id")


def _vector(numbers: Any, layout: Layout) -> Vector | None:
    """Return a vector that can be compared; one without numbers where it was not read, None where it is none."""
    if numbers is None:
        return _NO_VECTOR
    vector: NDArray[np.float32] = np.asarray(numbers, dtype=np.float32)
    if layout.own:  # looked at before it was written
        return vector
    if not np.isfinite(vector).all() or not vector.any():
        return None
    wide = vector.astype(np.float64)
    return vector if abs(float(np.sqrt(wide @ wide)) - 1.0) <= UNIT_TOLERANCE else unit(vector)


def _direction(key: str, dimension: int) -> Vector:
    """Return a unit vector that depends on ``key`` alone: equal ones would make an index slow."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return unit(np.random.default_rng(seed).standard_normal(dimension))


def _milliseconds(time: Any) -> int:
    if not isinstance(time, int | float) or time <= 0:
        return 0
    return int(time * SECOND_MS) if time < _SECONDS_BELOW else int(time)


def _parsed(text: Any) -> Any:
    try:
        return _decode(text or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

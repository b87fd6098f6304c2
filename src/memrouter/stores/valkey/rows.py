"""A memory as a HASH, and back; rows of the Go router are read too."""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from memrouter.models.memory import (
    DEFAULT_PROJECT,
    MemoryRecord,
    MemoryType,
    Scope,
    Source,
    Trust,
    content_digest,
    owner_key,
    unit,
)
from memrouter.stores.valkey.packed import DIGEST_CHARS, Count, pack
from memrouter.stores.vectors import UNIT_TOLERANCE, require_model, to_bytes

NEVER = 2**53
"""``live_until`` of a memory that does not expire: the largest number that an index keeps exactly."""

SCOPE_CHARS = 8
"""How much of the scope digest tells projects apart in ``OwnerKeys.content``; what is found there is held against the
whole one."""

FIELDS: tuple[str, ...] = (
    "id", "user_id", "project_id", "memory_type", "content", "source", "embedding", "created_at", "updated_at",
    "importance", "expires_at", "superseded_by", "metadata", "access_count",
)  # fmt: skip
"""The fields of a Go router's memory that reads ask for, in the order of a ``Row``."""

Row: TypeAlias = Sequence[bytes | None]
"""Values of ``FIELDS``; None where the HASH has no such field."""

_TYPES = {member.value.encode(): member for member in MemoryType}
_SOURCES = {member.value.encode(): member for member in Source}


def scope_digest(user_id: str, project_id: str) -> str:
    """Return 32 hex digits that stand for a user's project in queries; identities never hold the NUL between them."""
    return hashlib.sha256(f"{user_id}\0{project_id}".encode()).hexdigest()[:32]


def scope_digest_of(scope: Scope) -> str | None:
    """Return the digest of a scope of one project; None for all projects."""
    return None if scope.project_id is None else scope_digest(scope.user_id, scope.project_id)


def twin_digest(content: str) -> str:
    """Return 32 hex digits under which equal contents are found."""
    return content_digest(content)[:32]


def to_fields(record: MemoryRecord, *, dimension: int, embedding_model: str) -> dict[str, str | bytes]:
    """Return the fields of a memory's HASH; optional ones that are None are left out, access counts always.

    Raises:
        SchemaMismatch: The vector does not fit the store.
    """
    vector = to_bytes(record.embedding, dimension=dimension)
    digest = twin_digest(record.content)
    return {**text_fields(record, digest=digest, embedding_model=embedding_model), "embedding": vector}


def text_fields(record: MemoryRecord, *, digest: str, embedding_model: str) -> dict[str, str]:
    """Return ``to_fields`` without the vector; ``digest`` is the ``twin_digest`` of the content.

    These are what a Go router reads, what the index holds and what is rare; all else stands in ``record`` alone. A HASH
    of up to 14 fields takes 290 bytes less than one of 15.

    Raises:
        SchemaMismatch: The vector was not made by the store's model.
    """
    require_model(record.embedding_model, embedding_model=embedding_model)
    fields = {
        "id": record.id,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "memory_type": record.type.value,
        "content": record.content,
        "source": record.source.value,
        "created_at": str(record.created_at),
        "updated_at": str(record.updated_at),
        "importance": repr(float(record.importance)),
        "owner": owner_key(record.user_id),
        "scope": scope_digest(record.user_id, record.project_id),
        "live_until": str(live_until(record)),
        "record": pack(record, digest=digest),
    }
    optional = {"superseded_by": record.superseded_by, "quarantine": record.quarantine}
    fields.update({name: value for name, value in optional.items() if value is not None})
    return fields


def live_until(record: MemoryRecord) -> int:
    """Return the first millisecond at which a memory is not visible: 0 superseded or quarantined, NEVER for no end."""
    if record.superseded_by is not None or record.quarantine is not None:
        return 0
    return NEVER if record.expires_at is None else record.expires_at


def access_entry(count: int, last_accessed: int | None) -> str:
    """Return the value of ``OwnerKeys.access`` for a memory; empty where it was never accessed."""
    if not count and last_accessed is None:
        return ""
    return f"{count}:{'' if last_accessed is None else last_accessed}"


def to_record(row: Row, access: bytes | None, *, dimension: int, embedding_model: str) -> MemoryRecord | None:
    """Return the memory behind a Go router's row; None where there is none that this store can serve.

    What the row lacks is taken from its ``metadata`` or gets its default, and its vector is normalised. Its own
    ``access_count`` is where counting starts.

    Args:
        row: Values of ``FIELDS``.
        access: The memory's value of ``OwnerKeys.access``; None for none.
        dimension: Length of the store's vectors.
        embedding_model: Name of the store's model; rows do not name theirs.
    """
    memory_id, user, project, kind, content, source, embedding, created, updated, importance, *rest = row
    expires, superseded, metadata, own_count = rest
    if memory_id is None or user is None or content is None or embedding is None or len(embedding) != 4 * dimension:
        return None
    with contextlib.suppress(ValueError):  # a row that somebody else wrote and that cannot be a memory
        vector = _normalised(np.frombuffer(embedding, dtype="<f4"))
        foreign = _foreign(metadata)
        count, last = _access(access, own_count, foreign)
        return MemoryRecord(
            id=memory_id.decode(),
            user_id=user.decode(),
            content=content.decode(),
            embedding=vector,
            embedding_model=embedding_model,
            created_at=int(created or 0),
            updated_at=int(updated or created or 0),
            project_id=DEFAULT_PROJECT if project is None else project.decode(),
            type=_TYPES.get(kind or b"", MemoryType.EPISODIC),
            source=_SOURCES.get(source or b"", Source.EXTRACTION),
            trust=Trust.MODEL,
            importance=_importance(importance, foreign),
            last_accessed=last,
            expires_at=None if expires is None else int(expires),
            access_count=count,
            superseded_by=None if superseded is None else superseded.decode(),
        )
    return None


def access_count(access: bytes | None) -> Count:
    """Return what an entry of ``OwnerKeys.access`` says; None stands for none.

    Raises:
        ValueError: Not an entry.
    """
    if not access:
        return 0, None
    count, _, last = access.partition(b":")
    return int(count), int(last) if last else None


def row_of(fields: Mapping[bytes, bytes]) -> Row:
    """Return the row behind a HASH given as a mapping."""
    return [fields.get(name) for name in _FIELD_BYTES]


_FIELD_BYTES = tuple(name.encode() for name in FIELDS)


def adopted_fields(record: MemoryRecord) -> dict[str, str | bytes]:
    """Return what a Go router's HASH has to gain under its tagged key, the normalised vector included."""
    return {
        "project_id": record.project_id,
        "embedding": np.ascontiguousarray(record.embedding, dtype="<f4").tobytes(),
        "owner": owner_key(record.user_id),
        "scope": scope_digest(record.user_id, record.project_id),
        "live_until": str(live_until(record)),
        "record": pack(record, digest=twin_digest(record.content)),
        "importance": repr(float(record.importance)),
        "memory_type": record.type.value,
        "source": record.source.value,
        "created_at": str(record.created_at),
        "updated_at": str(record.updated_at),
    }


def twin_member(record: MemoryRecord) -> str:
    """Return the member of ``OwnerKeys.content`` that stands for a memory.

    Of up to 64 bytes, with ids of up to 36: the server keeps a ZSET of such members in a third of the room.
    """
    scope = scope_digest(record.user_id, record.project_id)
    return twin_digest(record.content)[:DIGEST_CHARS] + scope[:SCOPE_CHARS] + record.id


def _normalised(vector: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    if not np.isfinite(vector).all() or not vector.any():
        raise ValueError
    length = float(np.linalg.norm(vector.astype(np.float64)))
    return vector if abs(length - 1.0) <= UNIT_TOLERANCE else unit(vector)


def _foreign(metadata: bytes | None) -> Mapping[str, Any]:
    """Return the Go router's ``metadata`` JSON; empty where there is none or it cannot be read."""
    try:
        found = json.loads(metadata or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _importance(value: bytes | None, foreign: Mapping[str, Any]) -> float:
    given = foreign.get("importance", 0.5) if value is None else value
    try:
        return min(1.0, max(0.0, float(given)))
    except (TypeError, ValueError):
        return 0.5


def _access(access: bytes | None, own_count: bytes | None, foreign: Mapping[str, Any]) -> Count:
    """Return how often and when last a memory was retrieved."""
    if access:
        return access_count(access)
    seconds = foreign.get("last_accessed")
    last_ms = int(seconds * 1000) if isinstance(seconds, int | float) and seconds > 0 else None
    return int(own_count or 0), last_ms

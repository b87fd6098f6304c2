"""Many memories of one owner as a few arguments of a script: a script is slow in arguments, not in bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from memrouter.models.memory import MemoryRecord
from memrouter.stores.valkey.keys import OwnerKeys
from memrouter.stores.valkey.rows import access_entry, text_fields, twin_digest
from memrouter.stores.vectors import to_bytes

INLINE_RECORDS: Final = 16
"""Up to this many records are packed in the event loop: under 1 ms."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """Memories of one owner, packed.

    Attributes:
        keys: Those of the owner, then those of the memories.
        texts: MessagePack of a list that has for each memory: id, created_at, content and scope digest as one,
            live_until, access entry (may be empty), updated_at, a list of fields and values in turn without the
            vector, all of them text.
        vectors: The vectors, one behind the other.
    """

    keys: Sequence[str]
    texts: bytes
    vectors: bytes


def pack_bulk(owner: OwnerKeys, records: Sequence[MemoryRecord], *, dimension: int, embedding_model: str) -> Bulk:
    """Return memories of one owner as arguments of a script.

    Raises:
        SchemaMismatch: A vector does not fit the store.
        UnicodeEncodeError: A text holds a lone surrogate.
    """
    texts: list[object] = []
    for record in records:
        digest = twin_digest(record.content)
        fields = text_fields(record, digest=digest, embedding_model=embedding_model)
        texts.append(
            (
                record.id,
                fields["created_at"],
                digest + fields["scope"],
                fields["live_until"],
                access_entry(record.access_count, record.last_accessed),
                fields["updated_at"],
                [part for pair in fields.items() for part in pair],
            )
        )
    vectors = b"".join([to_bytes(record.embedding, dimension=dimension) for record in records])
    keys = [*owner.sides, *(owner.memory(record.id) for record in records)]
    return Bulk(keys, msgspec.msgpack.encode(texts), vectors)

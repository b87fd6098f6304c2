"""What a memory is: the record, its owner and the words for its parts. No wire or storage form."""

import functools
import hashlib
import unicodedata
from enum import StrEnum
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from memrouter.errors import InvalidRequest
from memrouter.models.history import HistoryEntry

MAX_IDENTITY_CHARS = 256
MAX_ID_CHARS = 64
MAX_CONTENT_BYTES = 16_384
DEFAULT_PROJECT = "default"

Vector: TypeAlias = NDArray[np.float32]
"""One embedding: shape (dimension,), float32, unit length."""

Matrix: TypeAlias = NDArray[np.float32]
"""Embeddings as rows: shape (n, dimension), float32, rows of unit length."""


class MemoryType(StrEnum):
    """What kind of knowledge a memory is."""

    SEMANTIC = "semantic"
    PROCEDURAL = "procedural"
    EPISODIC = "episodic"


class Source(StrEnum):
    """How a memory came to be written."""

    CONVERSATION = "conversation"
    SESSION_WINDOW = "session_window"
    EXTRACTION = "extraction"
    CONSOLIDATION = "consolidation"
    API = "api"
    IMPORT = "import"


class Trust(StrEnum):
    """Who a memory's words come from; the lowest over its lineage."""

    DIRECT_USER = "direct_user"
    MODEL = "model"
    TOOL = "tool"
    DOCUMENT = "document"
    IMPORT = "import"


def check_identity(value: str, *, param: str) -> str:
    """Return ``value`` if it can name a user or project, unchanged.

    Identities are compared code point by code point: no case folding, trimming or Unicode normalisation.

    Args:
        value: 1 to 256 characters, none of them a control character or a lone surrogate.
        param: Name of the header or field for the error.

    Raises:
        InvalidRequest: Empty, too long, or holding a character that cannot be stored.
    """
    if not value:
        raise InvalidRequest(f"{param} is empty; it must have 1 to {MAX_IDENTITY_CHARS} characters", param=param)
    if len(value) > MAX_IDENTITY_CHARS:
        raise InvalidRequest(
            f"{param} has {len(value)} characters; at most {MAX_IDENTITY_CHARS} are allowed", param=param
        )
    if not value.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
        raise InvalidRequest(f"{param} holds a control character or a lone surrogate", param=param)
    return value


class Scope(msgspec.Struct, frozen=True):
    """Whose memories: one user, in one project or in all of them.

    Attributes:
        user_id: The owner, 1 to 256 characters.
        project_id: One project, or None for every project of this user.
    """

    user_id: str
    project_id: str | None = DEFAULT_PROJECT

    def __post_init__(self) -> None:
        check_identity(self.user_id, param="user_id")
        if self.project_id is not None:
            check_identity(self.project_id, param="project_id")

    @property
    def owner(self) -> str:
        """Return the owner key: 32 hex digits that stand for the user in queries, keys and logs."""
        return owner_key(self.user_id)

    def covers(self, record: "MemoryRecord") -> bool:
        """Return whether ``record`` belongs to this scope."""
        return record.user_id == self.user_id and self.project_id in (None, record.project_id)


@functools.lru_cache(maxsize=10_000)
def owner_key(user_id: str) -> str:
    """Return the first 128 bits of SHA-256 over the UTF-8 user id, as 32 hex digits."""
    return hashlib.sha256(user_id.encode()).hexdigest()[:32]


class MemoryRecord(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One stored text with owner, type, vector and provenance; ``msgspec.structs.replace`` gives a changed copy.

    Times are milliseconds since the epoch, UTC. ``access_count`` and ``last_accessed`` are kept apart from the
    indexed record by the stores and joined on reading.

    Attributes:
        id: At most 64 characters, time-ordered, unique across replicas.
        user_id: The owner.
        project_id: Project of the owner.
        type: Kind of knowledge.
        content: 1 to 16,384 bytes of UTF-8.
        embedding: Unit vector of ``content`` made by ``embedding_model``.
        embedding_model: Name of the model that made the vector.
        source: How it came to be written.
        trust: Lowest trust over its lineage.
        importance: 0 to 1.
        created_at: When it was first written.
        updated_at: When its text or settings last changed.
        last_accessed: When it was last retrieved; None if never.
        expires_at: When it stops being visible; None for never.
        access_count: How often it was retrieved.
        conversation_id: The conversation it came from, if any.
        turn_index: Number of the turn in that conversation, from 0.
        role: Whose words it holds, such as ``user``, ``assistant`` or ``turn``.
        superseded_by: Id of the memory that replaced this one; superseded memories are kept but not retrieved.
        quarantine: Name of the rule for which it is kept apart and never injected; None where it is not.
        pinned: Whether it must not be pruned, evicted or consolidated.
        links: Ids of the memories that it was made from.
        history: What happened to it, oldest first; empty where there is nothing to say beside the fields above.
    """

    id: str
    user_id: str
    content: str
    embedding: Vector
    embedding_model: str
    created_at: int
    updated_at: int
    project_id: str = DEFAULT_PROJECT
    type: MemoryType = MemoryType.EPISODIC
    source: Source = Source.CONVERSATION
    trust: Trust = Trust.DIRECT_USER
    importance: float = 0.5
    last_accessed: int | None = None
    expires_at: int | None = None
    access_count: int = 0
    conversation_id: str | None = None
    turn_index: int | None = None
    role: str | None = None
    superseded_by: str | None = None
    quarantine: str | None = None
    pinned: bool = False
    links: tuple[str, ...] = ()
    history: tuple[HistoryEntry, ...] = ()

    def visible(self, now: int) -> bool:
        """Return whether retrieval and lists may show this memory at ``now`` (milliseconds)."""
        return self.superseded_by is None and self.quarantine is None and self.living(now)

    def living(self, now: int) -> bool:
        """Return whether this memory has not expired at ``now`` (milliseconds)."""
        return self.expires_at is None or self.expires_at > now


def content_digest(content: str) -> str:
    """Return a digest under which two contents are the same memory.

    Unicode NFKC, case folded, white space runs as one blank, ends trimmed; SHA-256 as 64 hex digits.
    """
    folded = " ".join(unicodedata.normalize("NFKC", content).casefold().split())
    return hashlib.sha256(folded.encode(errors="surrogatepass")).hexdigest()


def cut_to_bytes(text: str, limit: int = MAX_CONTENT_BYTES) -> str:
    """Return the longest prefix of ``text`` whose UTF-8 form has at most ``limit`` bytes, whole characters only."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    return raw[:limit].decode(errors="ignore")


def unit(vector: NDArray[np.floating]) -> Vector:
    """Return ``vector`` as float32 of unit length; the zero vector stays zero.

    Args:
        vector: Shape (dimension,) or (n, dimension); rows are normalised on their own.
    """
    wide = np.asarray(vector, dtype=np.float64)
    norm = np.sqrt(np.add.reduce(wide * wide, axis=-1, keepdims=True))
    norm[norm == 0] = 1.0
    scaled: Vector = (wide / norm).astype(np.float32)
    return scaled


def similarity(cosine: float) -> float:
    """Return the score for a cosine: (1 + c) / 2, clipped to 0..1."""
    return min(1.0, max(0.0, (1.0 + cosine) / 2.0))

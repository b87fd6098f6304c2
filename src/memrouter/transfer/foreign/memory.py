"""What every foreign memory is made into on the way to a line of the data format."""

import hashlib
from dataclasses import dataclass
from typing import Final

from memrouter.errors import InvalidRequest
from memrouter.memory.storing.drafts import storable_text
from memrouter.models.memory import (
    DEFAULT_PROJECT,
    MAX_ID_CHARS,
    MemoryType,
    Source,
    Trust,
    check_identity,
    cut_to_bytes,
)
from memrouter.transfer.format import MAX_NUMBER, MemoryLine

_ID_CHARS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignMemory:
    """One memory of another memory layer; times in milliseconds since the epoch, None where it has none.

    Attributes:
        content: Its text.
        id: Its id there.
        user: Whose it is.
        project: What keeps it apart from others of that user: an agent or a namespace.
        conversation: The session or run that it came from.
        type: Kind of knowledge.
        role: Whose words it holds.
        created: When it was made.
        updated: When it was last changed.
        accessed: When it was last found.
        expires: When it stops being visible.
        access_count: How often it was found.
        pinned: Whether it is to stay.
        dropped: Names of what it says and what has no place here.
    """

    content: str | None
    id: str | None
    user: str | None
    project: str | None = None
    conversation: str | None = None
    type: MemoryType = MemoryType.SEMANTIC
    role: str | None = None
    created: int | None = None
    updated: int | None = None
    accessed: int | None = None
    expires: int | None = None
    access_count: int = 0
    pinned: bool = False
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose foreign memories are to be.

    Attributes:
        default_user: Owner of a memory that names no user; None refuses it.
        keep_projects: Whether agents and namespaces become projects; else all is in the default project, where every
            request looks that names none.
    """

    default_user: str | None = None
    keep_projects: bool = False


def line_of(memory: ForeignMemory, owners: Owners, *, now: int) -> MemoryLine:
    """Return the line of a memory, with the lowest trust: nobody can prove whose words they are.

    A memory without an id, or with one that cannot be kept, gets one made from its owner and text, so that importing
    it again finds it.

    Args:
        memory: The memory.
        owners: Whose it is to be.
        now: Stands for a time of creation that is not there, and none lies after it; milliseconds since the epoch.

    Raises:
        InvalidRequest: It has no text or no owner, or a name that cannot be kept; the message names the field.
    """
    content = storable_text(memory.content or "")
    if not content.strip():
        raise InvalidRequest("it has no text")
    user = memory.user or owners.default_user
    if user is None:
        raise InvalidRequest("it names no user; give --default-user NAME")
    project = (memory.project if owners.keep_projects else None) or DEFAULT_PROJECT
    created = min(now if memory.created is None else memory.created, now)
    return MemoryLine(
        id=_id(memory, user),
        user_id=check_identity(user, param="user_id"),
        project_id=check_identity(project, param="project_id"),
        type=memory.type,
        content=cut_to_bytes(content),
        source=Source.IMPORT,
        trust=Trust.IMPORT,
        importance=0.5,
        created_at=created,
        updated_at=min(max(memory.updated or 0, created), now),
        last_accessed=None if memory.accessed is None else min(memory.accessed, now),
        expires_at=memory.expires,
        access_count=min(memory.access_count, MAX_NUMBER),
        conversation_id=None if memory.conversation is None else check_identity(memory.conversation, param="session"),
        turn_index=None,
        role=None if memory.role is None else check_identity(memory.role, param="role"),
        superseded_by=None,
        embedding_model="",
        pinned=memory.pinned,
    )


def _id(memory: ForeignMemory, user: str) -> str:
    if memory.id is not None and len(memory.id) <= MAX_ID_CHARS and memory.id.isprintable():
        return memory.id
    parts = "\0".join((memory.id or "", user, memory.content or ""))
    return "mem_" + hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()[:_ID_CHARS]

"""What the client asks for, as data: every route with its parameters and the form of its answer. No I/O here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from memrouter.client.answers import (
    AddedMemories,
    Consolidation,
    Deletion,
    History,
    ImportReport,
    Memory,
    MemoryPage,
    SearchResult,
    Stats,
)
from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryType, Trust

T = TypeVar("T")

TypeName: TypeAlias = MemoryType | Literal["semantic", "procedural", "episodic"]
MergeName: TypeAlias = Literal["skip", "replace", "newer"]
HybridMode: TypeAlias = Literal["rerank", "weighted", "rrf"]

NDJSON: Final = "application/x-ndjson"
_ROOT: Final = "/v1/memory"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        method: HTTP method.
        path: From the root of the router.
        answer: What the JSON of the answer is.
        params: Query parameters.
        body: JSON, or lines of exported memories; None for none.
        media_type: Of the body.
        repeatable: Whether sending it twice does no more than sending it once, so that it may be sent again where it
            is not known whether the first one arrived.
        gone_is_done: Whether ``404`` to a repetition means that the first one did it.
    """

    method: str
    path: str
    answer: type[T]
    params: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    media_type: str = "application/json"
    repeatable: bool = True
    gone_is_done: bool = False


class NewMemory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A memory to add; what is left out the router decides.

    Attributes:
        content: 1 to 16,384 bytes of UTF-8.
        type: Kind of knowledge; ``semantic`` unless named.
        trust: Whose words these are; the user's own unless named.
        importance: 0 to 1; 0.5 unless named.
        conversation_id: The conversation it comes from.
        turn_index: Number of the turn in that conversation, from 0.
        role: Whose words it holds.
        expires_at: When it stops being visible; an aware time in the future. None for never.
    """

    content: str
    type: TypeName | None = None
    trust: Trust | Literal["direct_user", "model", "tool", "document", "import"] | None = None
    importance: float | None = None
    conversation_id: str | None = None
    turn_index: int | None = None
    role: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change to one memory; what is left out stays. ``expires_at=None`` takes an expiry away."""

    content: str | None = None
    type: TypeName | None = None
    importance: float | None = None
    pinned: bool | None = None
    expires_at: datetime | UnsetType | None = UNSET

    def fields(self) -> Mapping[str, object]:
        """Return what is to be sent."""
        plain = {"content": self.content, "type": self.type, "importance": self.importance, "pinned": self.pinned}
        given: dict[str, object] = {name: value for name, value in plain.items() if value is not None}
        return given if self.expires_at is UNSET else {**given, "expires_at": self.expires_at}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A search; what is left out comes from the router's configuration."""

    query: str
    limit: int | None = None
    threshold: float | None = None
    types: Iterable[TypeName] = field(default=())
    hybrid_search: bool | None = None
    hybrid_mode: HybridMode | None = None
    adaptive_threshold: bool | None = None
    explain: bool = False

    def fields(self) -> Mapping[str, object]:
        """Return what is to be sent."""
        given = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in {**given, "types": list(self.types)}.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, named in one of three ways, or not at all; for the ways see ``AsyncMemrouterClient.list``."""

    conversation_id: str | None = None
    session_id: str | None = None
    conversation_of: str | None = None

    def params(self) -> list[tuple[str, str]]:
        """Return the query parameters that name it."""
        return [(name, value) for name in self.__slots__ if (value := getattr(self, name)) is not None]


NO_CONVERSATION: Final = Conversation()


def add(memories: Sequence[NewMemory]) -> Call[AddedMemories]:
    """Remember; what is remembered already is not stored again, so the call may be repeated."""
    return Call("POST", _ROOT, AddedMemories, body=_json({"memories": list(memories)}))


def search(question: Question) -> Call[SearchResult]:
    """Find memories for a question."""
    return Call("POST", f"{_ROOT}/search", SearchResult, body=_json(question.fields()))


def page(
    *,
    types: Iterable[TypeName],
    limit: int | None,
    cursor: str | None,
    conversation: Conversation = NO_CONVERSATION,
    include_superseded: bool = False,
    quarantined: bool = False,
) -> Call[MemoryPage]:
    """Return one page of memories."""
    single = {
        "limit": None if limit is None else str(limit),
        "cursor": cursor,
        "include_superseded": "true" if include_superseded else None,
        "quarantined": "true" if quarantined else None,
    }
    given = [(name, value) for name, value in single.items() if value is not None]
    return Call("GET", _ROOT, MemoryPage, params=(*_types(types), *conversation.params(), *given))


def get(memory_id: str) -> Call[Memory]:
    """Return one memory."""
    return Call("GET", _one(memory_id), Memory)


def edit(memory_id: str, change: Change) -> Call[Memory]:
    """Change one memory."""
    return Call("PATCH", _one(memory_id), Memory, body=_json(change.fields()))


def supersede(memory_id: str, new: NewMemory) -> Call[Memory]:
    """Put a new fact in the place of a memory; doing it again changes nothing."""
    return Call("POST", f"{_one(memory_id)}/supersede", Memory, body=_json(new))


def undo(memory_id: str) -> Call[Memory]:
    """Take back a replacement; a second time it would be put back, so it is never repeated."""
    return Call("POST", f"{_one(memory_id)}/undo", Memory, repeatable=False)


def history(memory_id: str) -> Call[History]:
    """Return what happened to a memory."""
    return Call("GET", f"{_one(memory_id)}/history", History)


def release(memory_id: str) -> Call[Memory]:
    """Let a quarantined memory be found."""
    return Call("POST", f"{_one(memory_id)}/release", Memory)


def delete(memory_id: str) -> Call[Deletion]:
    """Remove one memory."""
    return Call("DELETE", _one(memory_id), Deletion, gone_is_done=True)


def delete_all(*, types: Iterable[TypeName], conversation: Conversation, receipt: bool) -> Call[Deletion]:
    """Remove many. A receipt cannot be had twice, so the call is repeated only where none is asked for."""
    asked = [("receipt", "true")] if receipt else []
    return Call(
        "DELETE", _ROOT, Deletion, params=(*_types(types), *conversation.params(), *asked), repeatable=not receipt
    )


def stats() -> Call[Stats]:
    """Return figures."""
    return Call("GET", f"{_ROOT}/stats", Stats)


def consolidate(*, dry_run: bool) -> Call[Consolidation]:
    """Merge memories that say the same."""
    return Call("POST", f"{_ROOT}/consolidate", Consolidation, body=_json({"dry_run": dry_run}))


def export(*, project_id: str | None, vectors: bool) -> Call[bytes]:
    """Return the lines of an export."""
    named = [] if project_id is None else [("project_id", project_id)]
    return Call("GET", f"{_ROOT}/export", bytes, params=(*named, ("vectors", "true" if vectors else "false")))


def bring(*, merge: MergeName, map_user: bool) -> Call[ImportReport]:
    """Take exported lines in; the body is sent beside the call. Doing it again changes nothing more."""
    params = (("merge", merge), ("map_user", "true" if map_user else "false"))
    return Call("POST", f"{_ROOT}/import", ImportReport, params=params, media_type=NDJSON)


def _one(memory_id: str) -> str:
    """Return the path of a memory; an empty id would name all of them."""
    if not memory_id:
        raise InvalidRequest("the id of the memory is empty", param="id")
    return f"{_ROOT}/{quote(memory_id, safe='')}"


def _types(types: Iterable[TypeName]) -> list[tuple[str, str]]:
    return [("type", str(each)) for each in types]


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)

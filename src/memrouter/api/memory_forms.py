"""What the memory routes take, and its conversion to what the memory service takes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from msgspec import UNSET
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from memrouter.errors import InvalidRequest
from memrouter.memory.storing.drafts import MAX_TIME_MS, MemoryDraft, MemoryEdit, check_content
from memrouter.models.memory import MemoryRecord, MemoryType, Source, Trust, check_identity

MAX_QUERY_CHARS: Final = 16_384
NEVER_MS: Final = MAX_TIME_MS
"""An expiry in the last millisecond of the year 9999 is shown as none: edits of earlier versions wrote it so."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1)


def _checked(check: Callable[[str], str]) -> AfterValidator:
    """Return a validator that gives a check of ours the field's path."""

    def run(value: str) -> str:
        try:
            return check(value)
        except InvalidRequest as error:
            raise ValueError(str(error)) from None

    return AfterValidator(run)


def _without_nul(value: str) -> str:
    if "\0" in value:
        msg = "holds a NUL character"
        raise ValueError(msg)
    if not value.strip():
        msg = "is empty; it must have at least one visible character"
        raise ValueError(msg)
    return value


def _split(values: object) -> object:
    """Return the items of a repeatable, comma-separated query parameter; one that is given must name something."""
    if not isinstance(values, list):
        return values
    names = [name.strip() for value in values for name in str(value).split(",")]
    if values and not any(names):
        msg = "is empty; leave it out for all types"
        raise ValueError(msg)
    return [name for name in names if name]


Content = Annotated[str, _checked(check_content)]
Name = Annotated[str, _checked(lambda value: check_identity(value, param="it"))]
Fraction = Annotated[float, Field(ge=0, le=1)]
Types = Annotated[list[MemoryType], BeforeValidator(_split), Field(description="Repeatable, or separated by commas")]


class Input(BaseModel):
    """Input that is refused where a field is unknown; nobody can name another owner."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Form(Input):
    """A JSON body: values of the right JSON type only."""

    model_config = ConfigDict(strict=True)


class TypeParams(Input):
    """Query parameters of the routes that work on types of memory."""

    type: Types = Field(default_factory=list)

    @property
    def types(self) -> frozenset[MemoryType]:
        """Return the types that are meant: all of them where none is named."""
        return frozenset(self.type or MemoryType)


class NewMemory(_Form):
    """A memory to add; its owner is the caller."""

    content: Content
    """1 to 16,384 bytes of UTF-8 without control characters other than line end and tab."""
    type: MemoryType = MemoryType.SEMANTIC
    trust: Trust = Trust.DIRECT_USER
    """Whose words these are."""
    importance: Fraction = 0.5
    conversation_id: Name | None = None
    turn_index: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    role: Name | None = None
    expires_at: AwareDatetime | None = None
    """RFC 3339, in the future; null for never."""

    def draft(self) -> MemoryDraft:
        """Return the memory as the service takes it."""
        return MemoryDraft(
            content=self.content,
            type=self.type,
            source=Source.API,
            trust=self.trust,
            importance=self.importance,
            conversation_id=self.conversation_id,
            turn_index=self.turn_index,
            role=self.role,
            expires_at=_milliseconds(self.expires_at),
        )


class Replacement(_Form):
    """What is to stand in the place of a memory; type, importance and expiry are the old one's unless given."""

    content: Content
    """1 to 16,384 bytes of UTF-8 without control characters other than line end and tab."""
    type: MemoryType | None = None
    trust: Trust = Trust.DIRECT_USER
    """Whose words these are."""
    importance: Fraction | None = None
    conversation_id: Name | None = None
    turn_index: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    role: Name | None = None
    expires_at: AwareDatetime | None = None
    """RFC 3339, in the future; null for never."""

    def draft_for(self, old: MemoryRecord) -> MemoryDraft:
        """Return the memory as the service takes it."""
        keeps_expiry = "expires_at" not in self.model_fields_set
        return MemoryDraft(
            content=self.content,
            type=self.type or old.type,
            source=Source.API,
            trust=self.trust,
            importance=old.importance if self.importance is None else self.importance,
            conversation_id=self.conversation_id,
            turn_index=self.turn_index,
            role=self.role,
            expires_at=old.expires_at if keeps_expiry else _milliseconds(self.expires_at),
        )


class NewMemories(_Form):
    """Memories to add. A malformed one refuses all; one that must not be kept is dropped, and the others are stored."""

    memories: list[NewMemory] = Field(min_length=1)


class MemoryChange(_Form):
    """A change to one memory; what is left out stays as it is."""

    content: Content | None = None
    type: MemoryType | None = None
    importance: Fraction | None = None
    expires_at: AwareDatetime | None = None
    """RFC 3339, in the future; null takes an expiry away."""
    pinned: bool | None = None
    """Whether it stays whatever is pruned, evicted or merged."""

    def edit(self) -> MemoryEdit:
        """Return the change as the service takes it."""
        expiry = _milliseconds(self.expires_at) if "expires_at" in self.model_fields_set else UNSET
        return MemoryEdit(
            content=self.content,
            type=self.type,
            importance=self.importance,
            expires_at=expiry,
            pinned=self.pinned,
        )


class Search(_Form):
    """A search; what is left out comes from the server's configuration."""

    query: Annotated[str, Field(max_length=MAX_QUERY_CHARS), AfterValidator(_without_nul)]
    limit: Annotated[int, Field(ge=1)] | None = None
    threshold: Fraction | None = None
    """Lowest ``vector_score`` of a relevant memory."""
    types: list[MemoryType] = Field(default_factory=list)
    """Kinds of memory to search; empty for all."""
    hybrid_search: bool | None = None
    """Whether words count beside vectors."""
    hybrid_mode: Literal["rerank", "weighted", "rrf"] | None = None
    adaptive_threshold: bool | None = None
    """Whether the largest gap between scores ends the result early."""
    explain: bool = False
    """Whether every memory comes with an explanation of its score."""

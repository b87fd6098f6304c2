"""What the tools take. None of them takes a user: whose memories are meant is settled before a tool is called."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MAX_CONTENT_BYTES, MAX_ID_CHARS

MAX_QUERY_CHARS: Final = 16_384
MOST_RECALLED: Final = 50
MOST_LISTED: Final = 100
DEFAULT_LISTED: Final = 20
_MAX_CURSOR_CHARS: Final = 1024
_MAX_FAULTS: Final = 5
_MAX_NAME_CHARS: Final = 128

Kind = Literal["semantic", "procedural", "episodic"]
"""A type of memory, spelled out so that schemas need no references."""
MemoryId = Annotated[
    str,
    Field(
        min_length=1, max_length=MAX_ID_CHARS, description="Id of a memory, as recall, list or remember returned it."
    ),
]
Kinds = Annotated[list[Kind], Field(max_length=3, description="Only memories of these types; empty = all.")]

F = TypeVar("F", bound="Form")


class Form(BaseModel):
    """Arguments of a tool; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Remember(Form):
    """A fact to keep."""

    content: str = Field(
        min_length=1,
        max_length=MAX_CONTENT_BYTES,
        description="One fact in one self-contained sentence that makes sense without this conversation, such as "
        "'The user is allergic to peanuts.' Absolute dates, names instead of pronouns.",
    )
    type: Kind = Field(
        default="semantic",
        description="semantic: a fact or preference; procedural: how the user wants things done; "
        "episodic: something that happened.",
    )
    importance: float = Field(
        default=0.5, ge=0, le=1, description="0.5 is ordinary; 1 for what must not be missed, such as an allergy."
    )
    expires_at: AwareDatetime | None = Field(
        default=None,
        description="When it stops being true, with time zone, such as 2030-06-01T00:00:00Z; omit if it does not.",
    )


class Recall(Form):
    """A search."""

    query: str = Field(
        min_length=1,
        max_length=MAX_QUERY_CHARS,
        description="What you want to know, as a question or as key words, such as 'food allergies of the user'.",
    )
    limit: int | None = Field(
        default=None, ge=1, le=MOST_RECALLED, description="Most memories; omitted = as the server is configured."
    )
    types: Kinds = []


class Listing(Form):
    """A page of a list."""

    types: Kinds = []
    limit: int = Field(default=DEFAULT_LISTED, ge=1, le=MOST_LISTED, description="Most memories on this page.")
    cursor: str | None = Field(
        default=None, max_length=_MAX_CURSOR_CHARS, description="next_cursor of the page before; omit for the first."
    )


class Update(Form):
    """A correction."""

    id: MemoryId
    content: str = Field(
        min_length=1,
        max_length=MAX_CONTENT_BYTES,
        description="What is true now: the whole fact in one self-contained sentence, not only what changed.",
    )


class Forget(Form):
    """A memory to remove."""

    id: MemoryId


class History(Form):
    """A memory to look into."""

    id: MemoryId


def read_form(form: type[F], arguments: Mapping[str, Any]) -> F:
    """Return the arguments of a call, checked.

    Raises:
        InvalidRequest: They do not fit; the message names each field and holds no value.
    """
    try:
        return form.model_validate(arguments)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidRequest("; ".join(_told(faults[:_MAX_FAULTS])), param=_name(faults[0]["loc"])) from None


def _told(faults: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{_name(fault['loc'])}: {_reason(fault)}" for fault in faults]


def _reason(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return "this tool has no such argument; leave it out"
    return str(fault["msg"]).removeprefix("Value error, ")


def _name(place: Sequence[Any]) -> str:
    return ".".join(map(str, place))[:_MAX_NAME_CHARS] or "arguments"

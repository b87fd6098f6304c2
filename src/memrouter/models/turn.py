"""One request on its way through the router: who asks, what was decided, what memory did, what came back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from memrouter.models.chat import ChatDraft, ChatRequest
from memrouter.models.memory import DEFAULT_PROJECT, Scope


class MemoryStatus(StrEnum):
    """How memory took part in a request; every request ends with exactly one."""

    USED = "used"
    """Memories were injected."""
    MISSING = "missing"
    """Nobody is known to ask, or nothing relevant is remembered."""
    IGNORED = "ignored"
    """The query was not worth a search, such as a greeting."""
    DISABLED = "disabled"
    """The configuration switches memory off here."""
    POLICY_BLOCKED = "policy_blocked"
    """The caller opted out, or the route or model is on a list without memory."""
    UNAVAILABLE = "unavailable"
    """Store or embedder failed or was too slow; the request went on."""


class Permission(StrEnum):
    """What a caller may do; a route asks for one."""

    CHAT = "chat"
    """Talk to models and list them."""
    MEMORY = "memory"
    """Look at and change the own memories."""
    OPERATOR = "operator"
    """See what concerns the router as a whole."""


ORDINARY: Final = frozenset({Permission.CHAT, Permission.MEMORY})
"""What everybody may who is not known to be less or more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is calling, as far as a trusted party says.

    Attributes:
        user_id: None where nobody is named.
        project_id: Project of the user.
        groups: Names of the user's groups.
        permissions: What the caller may do.
        key_id: Which API key said so, for the audit log; empty where none did. Says nothing about who this is.
    """

    user_id: str | None = None
    project_id: str = DEFAULT_PROJECT
    groups: tuple[str, ...] = ()
    permissions: frozenset[Permission] = ORDINARY
    key_id: str = field(default="", compare=False)

    @property
    def scope(self) -> Scope | None:
        """Return whose memories the caller may see; None for nobody."""
        return None if self.user_id is None else Scope(self.user_id, self.project_id)


class MemoryOutcome(msgspec.Struct, frozen=True):
    """What memory did for one request; holds no memory text.

    Attributes:
        status: The one status.
        reason: A short word for why, such as ``no_results``.
        count: Number of injected memories.
        seconds: Time that retrieval took.
    """

    status: MemoryStatus
    reason: str
    count: int = 0
    seconds: float = 0.0


class ModelChoice(msgspec.Struct, frozen=True):
    """The model that answers.

    Attributes:
        name: Its name in the configuration.
        upstream_name: The name sent to the backend.
    """

    name: str
    upstream_name: str


class Turn(msgspec.Struct):
    """A chat request on its way; plugins change ``draft``, ``upstream_headers`` and ``memory``.

    Attributes:
        request: What the client sent.
        identity: Who asks.
        headers: The client's headers, names in lower case.
        request_id: Unique id of the request, for logs and replies.
        path: Request path, such as ``/v1/chat/completions``.
        draft: The outgoing body.
        decision: Name of the matching decision; empty where none matched.
        model: The model that answers.
        upstream_headers: Headers for the backend, names in lower case.
        memory: What memory did; None until a plugin has said so.
        recalled_ids: Ids of the memories that were injected.
        upstream_seconds: Time until the backend's status and headers arrived; the rest of the time until then is
            the router's own.
        session: Name of the conversation, where the API knows one and the client sends no session header.
        auto_store: Whether the client wants this turn remembered, which beats the route; None leaves it to the route.
        begun_at: When the request came to memory, in milliseconds since the epoch; 0 before it did.
    """

    request: ChatRequest
    identity: Identity
    headers: Mapping[str, str]
    request_id: str
    path: str
    draft: ChatDraft
    decision: str = ""
    model: ModelChoice = ModelChoice("", "")
    upstream_headers: dict[str, str] = {}
    memory: MemoryOutcome | None = None
    recalled_ids: tuple[str, ...] = ()
    upstream_seconds: float = 0.0
    session: str = ""
    auto_store: bool | None = None
    begun_at: int = 0


class Reply(msgspec.Struct, frozen=True):
    """What the model said, seen while it was relayed.

    Attributes:
        text: Words of the first choice; cut at a bound.
        status: HTTP status of the backend.
        complete: Whether the last byte arrived and was sent; False for an aborted turn.
        tool_calls: Whether the model asked for tools.
    """

    text: str
    status: int
    complete: bool
    tool_calls: bool = False

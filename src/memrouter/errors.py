"""Every error that memrouter raises on purpose.

::

    MemrouterError
    ├── ConfigError            a configuration that cannot be used; carries every problem found
    │   └── MissingExtra       a feature was chosen whose optional packages are not installed
    ├── StoreError             a memory store could not do what was asked
    │   ├── StoreUnavailable   it cannot be reached, is locked, full or closing: try again later
    │   ├── SchemaMismatch     what is stored does not fit this version, dimension or model
    │   └── MemoryConflict     a memory with this id exists already
    ├── EmbeddingError         text could not be turned into a vector
    ├── RerankError            memories could not be re-ranked
    ├── UpstreamError          no model server gave an answer
    │   ├── UpstreamUnreachable   none of the backends could be connected to
    │   └── UpstreamTimeout       the backend kept silent for too long
    ├── RouterFailed           a router answered the client with something that is not a caller's error
    ├── RouterUnreachable      the client got no answer from a router
    └── RequestError           the caller has to change the request
        ├── InvalidRequest     malformed or out of range
        │   └── DamagedData    a line of exported memories that cannot be what was exported
        ├── Unauthenticated    nobody, or somebody not to be trusted
        ├── Forbidden          known, but not allowed to do this
        ├── RateLimited        more than the caller may ask for
        ├── BodyTooLarge       over the configured limit
        ├── UnknownModel       a model name that the configuration does not have
        ├── NotFound           absent, or someone else's
        └── Overloaded         the router cannot take this now

Only ``memrouter.api.errors`` knows which HTTP status belongs to which error. Messages never hold memory text,
prompt text or a raw user id.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class MemrouterError(Exception):
    """Base of all errors raised by memrouter on purpose."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong with a configuration.

    Attributes:
        file: Path of the file as it was given, or ``<environment>`` and the like.
        line: Line in that file, from 1; None where no line can be named.
        key: Dotted path of the key, such as ``global.stores.memory.backend``.
        found: What stood there, shortened; secrets are never shown.
        allowed: What may stand there.
        hint: The way out, such as the nearest known key; may be empty.
    """

    file: str
    line: int | None
    key: str
    found: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the problem as one readable line."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.key or '(top level)'}: found {self.found}; allowed: {self.allowed}"
        return f"{text}. {self.hint}" if self.hint else text


class ConfigError(MemrouterError):
    """A configuration that cannot be used.

    Attributes:
        problems: Every problem found, in the order of the file.
    """

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class MissingExtra(ConfigError):
    """A configured feature needs packages that are not installed.

    Args:
        feature: What was asked for, such as ``embedding_model: bert``.
        extra: The name of the optional dependency group that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            [
                ConfigProblem(
                    file="<installation>",
                    line=None,
                    key=feature,
                    found="packages that are not installed",
                    allowed=f"an installation with the extra [{extra}]",
                    hint=f"Run: pip install 'memrouter[{extra}]'",
                )
            ]
        )
        self.extra = extra


class StoreError(MemrouterError):
    """A memory store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, is locked, full or closing; the same call may succeed later."""


class SchemaMismatch(StoreError):
    """What is stored does not fit this version, dimension or embedding model; the message names the fix."""


class MemoryConflict(StoreError):
    """A memory with this id exists already.

    Attributes:
        ids: The ids that were taken.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = tuple(ids)
        super().__init__(f"{len(self.ids)} memory id(s) exist already; nothing was stored")


class EmbeddingError(MemrouterError):
    """Text could not be turned into a vector; the same call may succeed later."""


class RerankError(MemrouterError):
    """Memories could not be re-ranked; the same call may succeed later."""


class UpstreamError(MemrouterError):
    """No model server gave an answer."""


class UpstreamUnreachable(UpstreamError):
    """None of the model's backends could be connected to and spoke HTTP."""


class UpstreamTimeout(UpstreamError):
    """The backend kept silent for longer than the listener's timeout."""


class RouterFailed(MemrouterError):
    """A router answered the client with an error of its own, or with something that no router says.

    Attributes:
        status: HTTP status.
        code: Stable word of the error; empty where the answer named none.
    """

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class RouterUnreachable(MemrouterError):
    """The client got no answer from a router; what it asked for may have been done."""


class RequestError(MemrouterError):
    """The caller has to change the request.

    Attributes:
        code: Stable machine-readable word, such as ``invalid_json``.
        param: The field or header at fault, or None.
    """

    default_code = "invalid_request"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.param = param


class InvalidRequest(RequestError):
    """Malformed or out of range."""


class DamagedData(InvalidRequest):
    """Exported memories that are broken, cut off or forged; nothing from this line on can be believed.

    Args:
        line: Number of the line, from 1.
        reason: What is wrong with it, without any memory text or user id.
    """

    default_code = "damaged_data"

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}", param=f"line {line}")
        self.line = line
        self.reason = reason


class Unauthenticated(RequestError):
    """Nobody, or somebody who is not to be trusted.

    Attributes:
        challenge: How to say who is calling, as the header ``WWW-Authenticate`` has it; may be empty.
    """

    default_code = "unauthenticated"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None, challenge: str = "") -> None:
        super().__init__(message, code=code, param=param)
        self.challenge = challenge


class Forbidden(RequestError):
    """The caller is known, but not allowed to do this."""

    default_code = "forbidden"


class RateLimited(RequestError):
    """The caller asked for more than the configuration allows.

    Attributes:
        retry_after: Whole seconds after which the next request will be served; at least 1.
    """

    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BodyTooLarge(RequestError):
    """The request body is over the configured limit."""

    default_code = "body_too_large"


class UnknownModel(RequestError):
    """The configuration has no model of this name."""

    default_code = "model_not_found"


class NotFound(RequestError):
    """Absent, or someone else's: the two cannot be told apart from outside."""

    default_code = "not_found"


class Overloaded(RequestError):
    """The router cannot take this request now."""

    default_code = "overloaded"

"""The seam for traces: where a request spent its time. What is not traced costs next to nothing.

A span holds names from the configuration, numbers and fixed words; never a text, a user, a session or a query.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, Self

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]

Origin = object
"""Where something came from, for ``Tracer.linked``; only the tracer that gave it knows what it is."""


class Span(Protocol):
    """A stretch of work. As a context manager it is what new spans belong to, and ends with the block."""

    def __enter__(self) -> Self:
        """Let spans that begin from now on belong to this one."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End the span; an exception is noted by its type alone."""
        ...

    def set(self, name: str, value: AttributeValue) -> None:
        """Note an attribute."""
        ...

    def rename(self, name: str) -> None:
        """Give the span a better name than it began with."""
        ...

    def fail(self, kind: str) -> None:
        """Note that the work failed; ``kind`` is one of few words."""
        ...

    def end(self) -> None:
        """End a span that outlives its block; calling it again does nothing."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    @property
    def on(self) -> bool:
        """Return whether anything is traced at all."""
        ...

    def span(
        self, name: str, attributes: Attributes | None = None, *, client: bool = False, lasting: bool = False
    ) -> Span:
        """Return a span that begins now, within the present one.

        Args:
            name: One of few.
            attributes: What is known of it already.
            client: Whether another server does the work.
            lasting: Whether it outlives its block, unless that raises; ``end`` ends it.
        """
        ...

    def request(self, name: str, headers: Mapping[str, str], attributes: Attributes | None = None) -> Span:
        """Return the span of a request that arrived; it goes on with the trace that ``traceparent`` names."""
        ...

    def linked(self, name: str, origin: Origin | None) -> Span:
        """Return the span of later work, in a trace of its own; traced where its origin was."""
        ...

    def record(
        self, name: str, *, seconds: float, attributes: Attributes, client: bool = False, failure: str = ""
    ) -> None:
        """Add a span that ends now to the present one; nothing where there is none.

        Args:
            name: One of few.
            seconds: How long it took.
            attributes: What is known of it.
            client: Whether another server did the work.
            failure: The kind of failure; empty for none.
        """
        ...

    def here(self) -> Origin | None:
        """Return the present span, for work that will be done later."""
        ...

    def carried(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return headers, names in lower case, that tell the next server which trace this is."""
        ...

    async def aclose(self, seconds: float) -> None:
        """Send what waits, within a time; calling it again does nothing."""
        ...


class _Nothing:
    """Satisfies ``Span``."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, name: str, value: AttributeValue) -> None:
        pass

    def rename(self, name: str) -> None:
        pass

    def fail(self, kind: str) -> None:
        pass

    def end(self) -> None:
        pass


_NOTHING: Final = _Nothing()


class NoTracer:
    """Satisfies ``Tracer``; traces nothing, and passes the client's own trace headers on untouched."""

    on: Final = False

    def span(
        self, name: str, attributes: Attributes | None = None, *, client: bool = False, lasting: bool = False
    ) -> Span:
        """Return a span that is none."""
        return _NOTHING

    def request(self, name: str, headers: Mapping[str, str], attributes: Attributes | None = None) -> Span:
        """Return a span that is none."""
        return _NOTHING

    def linked(self, name: str, origin: Origin | None) -> Span:
        """Return a span that is none."""
        return _NOTHING

    def record(
        self, name: str, *, seconds: float, attributes: Attributes, client: bool = False, failure: str = ""
    ) -> None:
        """Do nothing."""

    def here(self) -> Origin | None:
        """Return None."""
        return None

    def carried(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return ``headers``."""
        return headers

    async def aclose(self, seconds: float) -> None:
        """Do nothing."""


NOT_TRACED: Final = NoTracer()

"""memrouter: an OpenAI-compatible semantic router with agentic memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memrouter.embedded import open_memory as open  # noqa: A004 - memrouter.open() is how it reads in a program

__version__ = "0.1.0"

__all__ = ["__version__", "open"]


def __getattr__(name: str) -> object:
    """Return ``open``, which is loaded when it is first asked for: to import the package loads nothing."""
    if name != "open":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from memrouter.embedded import open_memory

    return open_memory

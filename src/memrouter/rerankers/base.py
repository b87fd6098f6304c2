"""The one interface to cross-encoders."""

from collections.abc import Sequence
from typing import Final, Protocol

MAX_QUERY_CHARS: Final = 1000
"""Characters of a question that a cross-encoder gets."""
MAX_TEXT_CHARS: Final = 4000
"""Characters of a text that a cross-encoder gets; more than the 512 tokens that most of them read."""


class Reranker(Protocol):
    """Tells how well texts answer a question."""

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one finite number for each text, higher is better; only their order means anything.

        It has no time limit of its own: cancelling the call ends it, and nothing goes on behind it for longer than a
        few texts take.

        Raises:
            RerankError: It cannot be reached, failed, or gave something unusable.
        """
        ...

    async def aclose(self) -> None:
        """Free what it holds; calling it again does nothing."""
        ...


def readable(text: str, chars: int) -> str:
    """Return the first ``chars`` characters of ``text``, with ``?`` for lone surrogates, which have no UTF-8 form."""
    return text[:chars].encode("utf-8", "replace").decode()

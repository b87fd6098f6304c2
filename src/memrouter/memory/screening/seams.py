"""A text without the breaks that divide a token: ends of lines, invisible characters, ``"…" + "…"``. Pure."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from memrouter.memory.screening.spans import Span

_INVISIBLE: Final = "[\u00ad\u200b-\u200d\u2060\ufeff]{1,5}"
_HIDDEN_SEAM: Final = re.compile(_INVISIBLE)
# What follows a visible break must look like the rest of a token: a run of its characters with a digit near its start.
_SEAM: Final = re.compile(
    rf"{_INVISIBLE}|"
    r"(?<=[A-Za-z0-9_\-]{4})(?:\\?\r?\n[ \t>]{0,16}|[\"'] {0,2}\+ {0,2}\\?\n?[ \t]{0,16}[\"'])"
    r"(?=[A-Za-z0-9_\-]{4})(?=[A-Za-z_\-]{0,32}[0-9])"
)
# Without one of these, text in ASCII has no seam. They begin with a fixed sign, which is found far
# quicker than a seam.
_NEXT_LINE: Final = re.compile(r"\n[ \t>]{0,16}(?=[A-Za-z0-9_\-]{4})[A-Za-z_\-]{0,32}[0-9]")
_PLUS: Final = "+"


@dataclass(frozen=True, slots=True)
class Joined:
    """A text with its seams taken out.

    Attributes:
        text: What is left.
        places: Where in ``text`` each seam was, in order.
        removed: How many characters were taken out before each of them, it included.
    """

    text: str
    places: tuple[int, ...]
    removed: tuple[int, ...]

    def original(self, span: Span) -> Span:
        """Return the place in the original text of something found in ``text``."""
        before, within = bisect_right(self.places, span.start), bisect_right(self.places, span.end - 1)
        return Span(span.start + self._removed(before), span.end + self._removed(within), span.kind)

    def _removed(self, seams: int) -> int:
        return self.removed[seams - 1] if seams else 0


def joined(text: str, *, lines: bool) -> Joined | None:
    """Return ``text`` without its seams; None if it has none. Takes linear time.

    Args:
        text: Any text.
        lines: Whether ends of lines and ``"…" + "…"`` are seams too, besides invisible characters.
    """
    if text.isascii() and not (lines and _may_be_divided(text)):
        return None
    pieces: list[str] = []
    places: list[int] = []
    removed: list[int] = []
    position = gone = 0
    for seam in (_SEAM if lines else _HIDDEN_SEAM).finditer(text):
        pieces.append(text[position : seam.start()])
        places.append(seam.start() - gone)
        gone += seam.end() - seam.start()
        removed.append(gone)
        position = seam.end()
    return Joined("".join((*pieces, text[position:])), tuple(places), tuple(removed)) if pieces else None


def _may_be_divided(text: str) -> bool:
    """Return whether a text in ASCII may have a seam; False only where it has none."""
    return _PLUS in text or _NEXT_LINE.search(text) is not None

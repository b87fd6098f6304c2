"""Places in a text that are to be replaced, and the form of the text in which they are looked for."""

from collections.abc import Iterable
from dataclasses import dataclass

_FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)}
_DIGITS = {
    zero + value: 0x30 + value
    for zero in (0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0x1040)
    for value in range(10)
}
_BLANKS = dict.fromkeys((0xA0, 0x2002, 0x2003, 0x2007, 0x2008, 0x2009, 0x200A, 0x202F, 0x3000), 0x20)
_DASHES = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212), 0x2D)
_LEVEL = {**_FULL_WIDTH, **_DIGITS, **_BLANKS, **_DASHES}


@dataclass(frozen=True, slots=True)
class Span:
    """Something found in a text.

    Attributes:
        start: Where it begins.
        end: Where it has ended.
        kind: What it is, such as ``card_number``.
    """

    start: int
    end: int
    kind: str


def levelled(text: str) -> str:
    """Return ``text`` with digits of other scripts, full-width forms, blanks and dashes as ASCII; its length stays."""
    return text if text.isascii() else text.translate(_LEVEL)


def apart(spans: Iterable[Span]) -> list[Span]:
    """Return spans in the order of the text, none overlapping; of overlapping ones the first in ``spans`` stays.

    What another span has beyond the one that stays is added to that one, so that nothing found is left over.
    """
    ranked = sorted(enumerate(spans), key=lambda pair: pair[1].start)
    merged: list[tuple[int, Span]] = []
    for rank, span in ranked:
        if not merged or span.start >= merged[-1][1].end:
            merged.append((rank, span))
            continue
        before, last = merged[-1]
        first = min(before, rank)
        kind = last.kind if before < rank else span.kind
        merged[-1] = (first, Span(last.start, max(last.end, span.end), kind))
    return [span for _, span in merged]


def masked(text: str, spans: Iterable[Span]) -> str:
    """Return ``text`` with ``[KIND removed]`` in place of each span; spans are in order and do not overlap."""
    pieces: list[str] = []
    position = 0
    for span in spans:
        pieces += (text[position : span.start], f"[{span.kind} removed]")
        position = span.end
    return "".join((*pieces, text[position:]))

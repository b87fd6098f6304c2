"""What coding agents and other harnesses write into the user's messages, which the user did not say. Pure."""

from typing import Final

_OPENING: Final = "<system-reminder>"
_CLOSING: Final = "</system-reminder>"


def strip_harness(text: str) -> str:
    """Return ``text`` without its reminders to the model; unchanged if there is none.

    A reminder that is never closed is the user's own text. Where one went, the ends are trimmed.
    """
    if _OPENING not in text:
        return text
    pieces: list[str] = []
    position = 0
    while True:
        start = text.find(_OPENING, position)
        end = -1 if start < 0 else text.find(_CLOSING, start)
        if end < 0:
            return "".join((*pieces, text[position:])).strip()
        pieces.append(text[position:start])
        position = end + len(_CLOSING)

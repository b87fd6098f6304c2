"""A fault at a place in the tree, before it becomes a problem with file, line and value."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from memrouter.config.paths import KeyPath

_LONGEST_COMPARED = 100
_MOST_COMPARED = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at one place of a configuration.

    Attributes:
        path: Where.
        allowed: What may stand there.
        found: What stands there; empty = the value itself, shortened, secrets hidden.
        hint: The way out; may be empty.
        line: The line, where it is not the one of ``path``.
        refers_to: For a name that nothing has, or two have: the list whose items are named.
    """

    path: KeyPath
    allowed: str
    found: str = ""
    hint: str = ""
    line: int | None = None
    refers_to: KeyPath | None = None


def did_you_mean(word: object, known: Collection[str]) -> str:
    """Return ``Did you mean 'x'?`` for the nearest of ``known``, or nothing where none is near."""
    if not isinstance(word, str) or len(word) > _LONGEST_COMPARED or len(known) > _MOST_COMPARED:
        return ""
    folded = {name.casefold(): name for name in known}
    nearest = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f"Did you mean {folded[nearest[0]]!r}?" if nearest else ""

"""The JSON objects in a foreign file: one a line, in a list, or in a list under a name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

Found: TypeAlias = tuple[int, Mapping[str, Any] | None]
"""Number of an object in the file, from 1, and the object; None for what is no JSON object."""

_INHERITED: Final = ("user_id", "agent_id", "run_id", "namespace", "session_id")
"""What a document says of all of its memories."""


def objects_of(raw: bytes, *, lists: Sequence[str]) -> Iterator[Found]:
    """Give the objects of a file; never fails, whatever is in it.

    Args:
        raw: The whole file.
        lists: Names under which a document may hold its list, the first one that it has.
    """
    try:
        document = json.loads(raw)  # the lenient decoder: what wrote the file may have kept half a surrogate pair
    except (ValueError, RecursionError):
        lines = (line for line in raw.splitlines() if line.strip())
        yield from ((number, _object(line)) for number, line in enumerate(lines, start=1))
        return
    yield from enumerate(_members(document, lists), start=1)


def _members(document: Any, lists: Sequence[str]) -> Iterator[Mapping[str, Any] | None]:
    if isinstance(document, dict):
        inherited = {name: document[name] for name in _INHERITED if isinstance(document.get(name), str)}
        name = next((name for name in lists if isinstance(document.get(name), list)), None)
        if name is None:
            yield document
            return
        for member in document[name]:
            yield {**inherited, **member} if isinstance(member, dict) else None
    elif isinstance(document, list):
        for member in document:
            yield member if isinstance(member, dict) else None
    else:
        yield None


def _object(line: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

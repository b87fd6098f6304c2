"""Where a value stands in a configuration: the keys and indexes that lead to it."""

import json
import re
from collections.abc import Collection

KeyPath = tuple[str | int, ...]
"""Keys of mappings and indexes of lists, from the top."""

_PLAIN_KEY = re.compile(r"[\w-]{1,100}", re.ASCII)


def dotted(path: KeyPath, *, indexes: bool = True) -> str:
    """Return a path as text, such as ``routing.decisions[0].name``.

    Args:
        path: The path; the empty one gives the empty string.
        indexes: Whether indexes are shown; otherwise every one is written ``[]``.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]" if indexes else "[]"
        else:
            text += f".{_key(part)}" if text else _key(part)
    return text


def value_at(data: object, path: KeyPath) -> object:
    """Return the value at ``path`` in plain data, or None where there is none."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def is_present(data: object, path: KeyPath) -> bool:
    """Return whether plain data has a value at ``path``, be it null."""
    if not path:
        return True
    parent, last = value_at(data, path[:-1]), path[-1]
    if isinstance(last, int):
        return isinstance(parent, list) and last < len(parent)
    return isinstance(parent, dict) and last in parent


def put(data: object, path: KeyPath, value: object) -> None:
    """Set the value at ``path``, whose parent must be there and be of the right kind."""
    parent, last = value_at(data, path[:-1]), path[-1]
    if isinstance(parent, list) and isinstance(last, int):
        parent[last] = value
    if isinstance(parent, dict):
        parent[last] = value


def has_prefix(path: KeyPath, prefixes: Collection[KeyPath]) -> bool:
    """Return whether ``path`` is one of ``prefixes`` or lies below one."""
    return any(path[:end] in prefixes for end in range(len(path) + 1))


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key):
        return key
    return json.dumps(key if len(key) <= 60 else key[:60] + "...")

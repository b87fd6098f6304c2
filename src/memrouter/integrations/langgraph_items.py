"""LangGraph items as memories, and back. Pure.

An item is kept as one memory that holds all of it as JSON, and beside it one memory for each of its texts that are to
be found by meaning. All of them have ids that follow from owner, namespace and key, and they are written together.
"""

import hashlib
import json
import operator as operators
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from memrouter.errors import InvalidRequest
from memrouter.memory.storing.drafts import storable_text
from memrouter.models.memory import MAX_CONTENT_BYTES, MemoryRecord, Scope, cut_to_bytes

ITEM_ROLE: Final = "langgraph-item"
TEXT_ROLE: Final = "langgraph-text"
WHOLE: Final = "$"
"""The path that means the whole value."""
MAX_TEXTS: Final = 64
"""Most texts of one item that are found by meaning."""

_HIDDEN: Final = re.compile(r"[\x7f-\x9f]")
_ID_DIGITS: Final = 40

_ORDERS: Final = {"$gt": operators.gt, "$gte": operators.ge, "$lt": operators.lt, "$lte": operators.le}

Namespace = tuple[str, ...]


class StoredItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a memory says of an item.

    Attributes:
        value: As it was put, without what must not be kept.
        namespace: Where it is.
        key: Its name there.
        texts: How many memories hold its texts.
        ttl: Minutes that it lives after it was last used; None for ever.
    """

    value: dict[str, Any]
    namespace: tuple[str, ...]
    key: str
    texts: int = 0
    ttl: float | None = None

    def content(self) -> str:
        """Return the text of the memory.

        Raises:
            TypeError, ValueError: The value is not JSON.
            InvalidRequest: It is too long.
        """
        data = {name: getattr(self, name) for name in self.__struct_fields__}
        plain = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text = _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)
        size = len(encodable(text).encode())
        if size > MAX_CONTENT_BYTES:
            raise InvalidRequest(
                f"the item has {size} bytes as JSON; at most {MAX_CONTENT_BYTES} are kept. Store a large text where "
                "documents belong, and its address here",
                param="value",
            )
        return text


def encodable(text: str) -> str:
    """Return ``text`` as it is.

    Raises:
        InvalidRequest: It has no UTF-8 form.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the item holds a lone surrogate, which has no UTF-8 form", param="value") from None
    return text


def item_of(record: MemoryRecord) -> StoredItem | None:
    """Return the item that a memory holds; None where it holds none."""
    if record.role != ITEM_ROLE:
        return None
    try:
        return msgspec.json.decode(record.content, type=StoredItem)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def item_id(scope: Scope, namespace: Namespace, key: str) -> str:
    """Return the id of the memory that holds an item."""
    named = json.dumps([scope.user_id, scope.project_id, namespace, key])
    return f"lg_{hashlib.sha256(named.encode()).hexdigest()[:_ID_DIGITS]}"


def text_ids(memory_id: str, count: int) -> list[str]:
    """Return the ids of the memories that hold an item's texts."""
    return [f"{memory_id}.{number}" for number in range(1, count + 1)]


def screened(value: Mapping[str, Any], screen: Callable[[str], str]) -> dict[str, Any]:
    """Return a value with every text in it, but not the names of fields, put through ``screen``.

    Raises:
        TypeError: A name of a field is not text.
    """

    def walk(part: Any) -> Any:
        if isinstance(part, str):
            return screen(part) if part.strip() else part
        if isinstance(part, Mapping):
            return {_field(name): walk(each) for name, each in part.items()}
        if isinstance(part, list | tuple):
            return [walk(each) for each in part]
        return part

    cleaned: dict[str, Any] = walk(value)
    return cleaned


def _field(name: object) -> str:
    if not isinstance(name, str):
        msg = f"the names of a value's fields must be text, not {type(name).__name__}"
        raise TypeError(msg)
    return name


def whole_text(value: Any) -> str:
    """Return the words and numbers of a value, one a line, without the names of its fields."""
    return "\n".join(_leaves(value))


def _leaves(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        part = part.values()
    elif not isinstance(part, list):
        if part is not None and not isinstance(part, bool):
            yield str(part)
        return
    for each in part:
        yield from _leaves(each)


def kept_texts(texts: Iterable[str]) -> list[str]:
    """Return texts in the form in which they are kept: storable, each once, none of them blank."""
    forms = (cut_to_bytes(storable_text(text)).strip() for text in texts)
    return [text for text in dict.fromkeys(forms) if text][:MAX_TEXTS]


def holds(value: Any, wanted: Any) -> bool:
    """Return whether a value passes a filter: equal, field by field, or as its operators say."""
    if isinstance(wanted, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in wanted):
            return all(_compares(value, name, operand) for name, operand in wanted.items())
        return isinstance(value, Mapping) and all(holds(value.get(name), part) for name, part in wanted.items())
    if isinstance(wanted, list | tuple):
        pairs = zip(value, wanted, strict=True) if _as_long(value, wanted) else None
        return pairs is not None and all(holds(one, other) for one, other in pairs)
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _as_long(value: Any, wanted: Sequence[Any]) -> bool:
    return isinstance(value, list | tuple) and len(value) == len(wanted)


def _compares(value: Any, operator: str, operand: Any) -> bool:
    if operator in ("$eq", "$ne"):
        return holds(value, operand) is (operator == "$eq")
    if operator not in _ORDERS:
        msg = f"unknown operator {operator!r} in a filter; use $eq, $ne, $gt, $gte, $lt or $lte"
        raise ValueError(msg)
    texts = isinstance(value, str) and isinstance(operand, str)
    if not texts and not (_is_number(value) and _is_number(operand)):
        return False
    comparison: Callable[[Any, Any], bool] = _ORDERS[operator]
    return comparison(value, operand)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def begins(namespace: Namespace, path: Sequence[str]) -> bool:
    """Return whether a namespace begins with a path, in which ``*`` is any label."""
    return len(namespace) >= len(path) and _match(namespace, path)


def ends(namespace: Namespace, path: Sequence[str]) -> bool:
    """Return whether a namespace ends with a path, in which ``*`` is any label."""
    return len(namespace) >= len(path) and _match(namespace[len(namespace) - len(path) :], path)


def _match(labels: Sequence[str], path: Sequence[str]) -> bool:
    return all(wanted in ("*", label) for label, wanted in zip(labels, path, strict=False))

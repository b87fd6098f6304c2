"""Fields of a JSON body that is handed on in great part, and so is not decoded into a form."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from memrouter.errors import InvalidRequest

MAX_DEPTH: Final = 128
"""Most lists and objects within each other."""

_WORDS: Final = {str: "a text", bool: "true or false", int: "a whole number", dict: "an object", list: "a list"}


def object_of(body: bytes) -> dict[str, Any]:
    """Return the object behind a body.

    Raises:
        InvalidRequest: Not UTF-8, not JSON, no object, or nested more than 128 deep.
    """
    try:
        body.decode()
        fields = msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not UTF-8 (byte {error.start})", code="invalid_encoding", param="body"
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidRequest(f"the body is not valid JSON: {reason}", code="invalid_json", param="body") from error
    if not isinstance(fields, dict):
        raise InvalidRequest("the body must be a JSON object", code="invalid_type", param="body")
    if _too_deep(fields):
        raise InvalidRequest(
            f"the body is not valid JSON: nested more than {MAX_DEPTH} deep", code="invalid_json", param="body"
        )
    return fields


def _too_deep(fields: dict[str, Any]) -> bool:
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        inner = [node.values() if isinstance(node, dict) else node for node in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return False
    return True


def typed(fields: Mapping[str, Any], name: str, kind: type, place: str = "") -> Any:
    """Return a field if it is of its type; None where it is absent or null.

    Args:
        fields: Where.
        name: Its name.
        kind: ``str``, ``bool``, ``int``, ``dict`` or ``list``; true and false are no whole numbers.
        place: What stands in front of the name in errors.

    Raises:
        InvalidRequest: It is of another type.
    """
    value = fields.get(name)
    if value is None or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
        return value
    param = f"{place}{name}"
    raise InvalidRequest(f"{param}: must be {_WORDS[kind]}", code="invalid_type", param=param[:128])

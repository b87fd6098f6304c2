"""Items of the Responses API become chat messages. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from memrouter.errors import InvalidRequest

Item: TypeAlias = Mapping[str, Any]
"""One input or output item, as decoded from JSON."""
Message: TypeAlias = dict[str, Any]
"""One chat message, ready for JSON."""

_ROLES: Final = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
"""Roles of chat messages; not every model's chat template knows ``developer``."""
_PASSED_OVER: Final = frozenset({"reasoning"})
_ID_KINDS: Final = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_TEXT_PARTS: Final = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


def items_of(value: object) -> list[Item]:
    """Return the items behind ``input``, each with its ``type``; a text is one user message.

    Raises:
        InvalidRequest: Neither a text nor a list of objects, or empty; ``param`` names the place.
    """
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    if not isinstance(value, list) or not value:
        raise _wrong("input", "a text or a list of items, at least one")
    return [_typed(item, f"input[{index}]") for index, item in enumerate(value)]


def named(item: Item, new_id: Callable[[str], str]) -> Item:
    """Return an item as it can be listed: with an id, and with its words in parts.

    Args:
        item: As ``items_of`` returns it.
        new_id: Returns a fresh id for a kind of item, such as ``msg``.
    """
    found = dict(item)
    if not isinstance(found.get("id"), str):
        found["id"] = new_id(_ID_KINDS.get(found["type"], "item"))
    if found["type"] == "message" and isinstance(found.get("content"), str):
        kind = "output_text" if found.get("role") == "assistant" else "input_text"
        found["content"] = [{"type": kind, "text": found["content"]}]
    return found


def resolved(items: Sequence[Item], history: Sequence[Item]) -> list[Item]:
    """Return items with those of the history in the place of references to them.

    Raises:
        InvalidRequest: A reference to nothing; ``param`` names it.
    """
    known = {item["id"]: item for item in history if isinstance(item.get("id"), str)}
    found: list[Item] = []
    for index, item in enumerate(items):
        if item["type"] == "item_reference":
            meant = known.get(_text_field(item, "id", f"input[{index}]"))
            if meant is None:
                raise _wrong(f"input[{index}].id", "no item of this chain has this id", code="item_not_found")
            found.append(meant)
        else:
            found.append(item)
    return found


def messages_of(items: Sequence[Item], *, history: Sequence[Item] = ()) -> list[Message]:
    """Return the chat messages for items.

    Calls of functions join the assistant's message in front of them, as chat completions want it. Reasoning is passed
    over: chat completions have no place for it.

    Args:
        items: What was sent, in the order of the conversation, without references.
        history: What stands before it.

    Raises:
        InvalidRequest: An item that cannot be said in chat messages; ``param`` names it.
    """
    messages: list[Message] = []
    for index, item in enumerate((*history, *items)):
        _add(messages, item, f"input[{index - len(history)}]")
    return messages


def _typed(item: object, place: str) -> Item:
    if not isinstance(item, dict):
        raise _wrong(place, "an item is an object with a type")
    kind = item.get("type")
    if kind is None:
        kind = "item_reference" if "id" in item and "role" not in item else "message"
    if not isinstance(kind, str):
        raise _wrong(f"{place}.type", "a text")
    return {**item, "type": kind}


def _add(messages: list[Message], item: Item, place: str) -> None:
    kind = item["type"]
    if kind == "message":
        messages.append(_message(item, place))
    elif kind == "function_call":
        _add_call(messages, item, place)
    elif kind == "function_call_output":
        call = _text_field(item, "call_id", place)
        messages.append({"role": "tool", "tool_call_id": call, "content": _output(item.get("output"), place)})
    elif kind not in _PASSED_OVER:
        raise _wrong(
            f"{place}.type",
            "this router knows the items message, function_call, function_call_output, reasoning and item_reference",
            code="unsupported_value",
        )


def _message(item: Item, place: str) -> Message:
    given = item.get("role")
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise _wrong(f"{place}.role", "one of user, assistant, system and developer")
    content = item.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    if not isinstance(content, list):
        raise _wrong(f"{place}.content", "a text or a list of parts")
    parts = [_part(part, f"{place}.content[{index}]") for index, part in enumerate(content)]
    if role == "assistant" or all(part["type"] == "text" for part in parts):
        return {"role": role, "content": _joined(parts)}
    return {"role": role, "content": parts}


def _joined(parts: Sequence[Message]) -> str:
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _part(part: object, place: str) -> Message:
    if not isinstance(part, dict):
        raise _wrong(place, "a part is an object with a type")
    kind = part.get("type")
    if isinstance(kind, str) and kind in _TEXT_PARTS:
        return {"type": "text", "text": _text_field(part, _TEXT_PARTS[kind], place)}
    if kind == "input_image":
        return _image(part, place)
    if kind == "input_file":
        return _file(part, place)
    if kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    raise _wrong(
        f"{place}.type",
        "this router knows the parts input_text, output_text, refusal, input_image, input_file and input_audio",
        code="unsupported_value",
    )


def _image(part: Item, place: str) -> Message:
    url = part.get("image_url")
    if not isinstance(url, str) or not url:
        raise _wrong(f"{place}.image_url", "images are taken by URL or as a data URL; file ids are not known here")
    image = {"url": url}
    if isinstance(part.get("detail"), str):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file(part: Item, place: str) -> Message:
    data = part.get("file_data")
    if not isinstance(data, str) or not data:
        raise _wrong(f"{place}.file_data", "files are taken as file_data; file ids and URLs are not known here")
    file = {"file_data": data}
    if isinstance(part.get("filename"), str):
        file["filename"] = part["filename"]
    return {"type": "file", "file": file}


def _add_call(messages: list[Message], item: Item, place: str) -> None:
    call = {
        "id": _text_field(item, "call_id", place),
        "type": "function",
        "function": {
            "name": _text_field(item, "name", place),
            "arguments": _text_field(item, "arguments", place),
        },
    }
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(call)


def _output(value: object, place: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [_part(part, f"{place}.output[{index}]") for index, part in enumerate(value)]
        if all(part["type"] == "text" for part in parts):
            return _joined(parts)
    raise _wrong(f"{place}.output", "a text or a list of text parts")


def _text_field(item: Item, name: str, place: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise _wrong(f"{place}.{name}", "a text")
    return value


def _wrong(param: str, expected: str, *, code: str = "invalid_type") -> InvalidRequest:
    return InvalidRequest(f"{param}: {expected}", code=code, param=param[:128])

"""A request to ``/v1/messages`` becomes the body of a chat completions request. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from memrouter.api.json_fields import object_of, typed
from memrouter.errors import InvalidRequest

Json: TypeAlias = dict[str, Any]

_SAME: Final = ("temperature", "top_p", "top_k", "stream")
"""Fields that chat completions, or vLLM beside them, have under the same name."""
_THINKING: Final = frozenset({"thinking", "redacted_thinking"})
_SERVER_BLOCKS: Final = frozenset({"server_tool_use", "web_search_tool_result", "search_result"})


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """A checked body.

    Attributes:
        fields: Everything that was sent.
        model: The model that the client named.
        stream: Whether events are wanted.
        stops: Texts at which the model is to stop.
    """

    fields: Mapping[str, Any]
    model: str
    stream: bool
    stops: tuple[str, ...]

    @classmethod
    def parse(cls, body: bytes, *, counting: bool = False) -> "MessagesRequest":
        """Return the request behind a body.

        Args:
            body: JSON.
            counting: Whether only tokens are counted; then ``max_tokens`` may be missing.

        Raises:
            InvalidRequest: Not a JSON object, or a field of the wrong type; ``param`` names it.
        """
        fields = object_of(body)
        model = typed(fields, "model", str)
        if not model:
            raise InvalidRequest("model: Field required", code="missing_field", param="model")
        most = typed(fields, "max_tokens", int)
        if not counting and (most is None or most < 1):
            raise InvalidRequest(
                "max_tokens: a whole number of at least 1 is required", code="missing_field", param="max_tokens"
            )
        if not typed(fields, "messages", list):
            raise InvalidRequest("messages: at least one message is required", code="missing_field", param="messages")
        if fields.get("mcp_servers"):
            raise InvalidRequest(
                "mcp_servers: this router runs no tools of its own; leave it out",
                code="unsupported_parameter",
                param="mcp_servers",
            )
        stops = tuple(
            _text_of(stop, f"stop_sequences.{index}")
            for index, stop in enumerate(typed(fields, "stop_sequences", list) or ())
        )
        return cls(fields=fields, model=model, stream=bool(typed(fields, "stream", bool)), stops=stops)


def chat_body(request: MessagesRequest) -> bytes:
    """Return the body of a chat completions request.

    Raises:
        InvalidRequest: Something that cannot be said in chat completions; ``param`` names it.
    """
    fields = request.fields
    body: Json = {name: fields[name] for name in _SAME if fields.get(name) is not None}
    body["model"] = request.model
    body["messages"] = [*_system(fields.get("system")), *_messages(fields["messages"])]
    if fields.get("max_tokens") is not None:
        body["max_completion_tokens"] = fields["max_tokens"]
    if request.stops:
        body["stop"] = request.stops
    body |= _tools(fields) | _output(fields)
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def _system(value: object) -> list[Json]:
    if value is None:
        return []
    if isinstance(value, str):
        return [{"role": "system", "content": value}] if value else []
    if not isinstance(value, list):
        raise _wrong("system", "must be a text or a list of text blocks")
    texts = [_text(block, f"system.{index}") for index, block in enumerate(value)]
    return [{"role": "system", "content": "\n".join(texts)}] if texts else []


def _messages(values: Sequence[object]) -> list[Json]:
    found: list[Json] = []
    for index, value in enumerate(values):
        place = f"messages.{index}"
        if not isinstance(value, dict) or value.get("role") not in ("user", "assistant"):
            raise _wrong(f"{place}.role", "must be user or assistant")
        content = value.get("content")
        if isinstance(content, str):
            found.append({"role": value["role"], "content": content})
        elif not isinstance(content, list):
            raise _wrong(f"{place}.content", "must be a text or a list of blocks")
        elif value["role"] == "user":
            found += _user(content, place)
        else:
            found.append(_assistant(content, place))
    return found


def _user(blocks: Sequence[object], place: str) -> list[Json]:
    """Return results of tools, then what the user says: so chat completions want them behind the calls."""
    results: list[Json] = []
    parts: list[Json] = []
    for index, value in enumerate(blocks):
        where = f"{place}.content.{index}"
        block = _block(value, where)
        if block["type"] == "tool_result":
            result, images = _result(block, where)
            results.append(result)
            parts += images
        else:
            parts.append(_part(block, where))
    if not parts:
        return results
    if all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": "\n".join(part["text"] for part in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _assistant(blocks: Sequence[object], place: str) -> Json:
    texts: list[str] = []
    calls: list[Json] = []
    for index, value in enumerate(blocks):
        where = f"{place}.content.{index}"
        block = _block(value, where)
        kind = block["type"]
        if kind == "text":
            texts.append(_text(block, where))
        elif kind == "tool_use":
            calls.append(_call(block, where))
        elif kind not in _THINKING:
            raise _unknown(where, kind, "text, tool_use and thinking")
    message: Json = {"role": "assistant", "content": "\n".join(texts) if texts or not calls else None}
    return {**message, "tool_calls": calls} if calls else message


def _call(block: Json, place: str) -> Json:
    return {
        "id": _required(block, "id", place),
        "type": "function",
        "function": {
            "name": _required(block, "name", place),
            "arguments": msgspec.json.encode(typed(block, "input", dict, f"{place}.") or {}).decode(),
        },
    }


def _result(block: Json, place: str) -> tuple[Json, list[Json]]:
    """Return the message with a tool's result, and its images, which only a user's message can hold."""
    content = block.get("content")
    texts, images = [], []
    if isinstance(content, str):
        texts.append(content)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            part = _part(_block(value, f"{place}.content.{index}"), f"{place}.content.{index}")
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                images.append(part)
    elif content is not None:
        raise _wrong(f"{place}.content", "must be a text or a list of blocks")
    text = "\n".join(texts)
    if typed(block, "is_error", bool, f"{place}."):
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": _required(block, "tool_use_id", place), "content": text}, images


def _part(block: Json, place: str) -> Json:
    kind = block["type"]
    if kind == "text":
        return {"type": "text", "text": _text(block, place)}
    if kind == "image":
        return _image(block, place)
    if kind == "document":
        return _document(block, place)
    raise _unknown(place, kind, "text, image, document and tool_result")


def _image(block: Json, place: str) -> Json:
    source = typed(block, "source", dict, f"{place}.") or {}
    if source.get("type") == "base64":
        media, data = _required(source, "media_type", f"{place}.source"), _required(source, "data", f"{place}.source")
        return {"type": "image_url", "image_url": {"url": f"data:{media};base64,{data}"}}
    if source.get("type") == "url":
        return {"type": "image_url", "image_url": {"url": _required(source, "url", f"{place}.source")}}
    raise _wrong(f"{place}.source.type", "must be base64 or url; files are not kept here")


def _document(block: Json, place: str) -> Json:
    source = typed(block, "source", dict, f"{place}.") or {}
    if source.get("type") == "text":
        title = typed(block, "title", str, f"{place}.")
        text = _required(source, "data", f"{place}.source")
        return {"type": "text", "text": f"{title}\n{text}" if title else text}
    if source.get("type") == "base64":
        media, data = _required(source, "media_type", f"{place}.source"), _required(source, "data", f"{place}.source")
        name = typed(block, "title", str, f"{place}.") or "document"
        return {"type": "file", "file": {"filename": name, "file_data": f"data:{media};base64,{data}"}}
    raise _wrong(f"{place}.source.type", "must be text or base64; URLs and files are not fetched here")


def _tools(fields: Mapping[str, Any]) -> Json:
    found: Json = {}
    tools = typed(fields, "tools", list)
    if tools:
        found["tools"] = [_tool(tool, f"tools.{index}") for index, tool in enumerate(tools)]
    choice = typed(fields, "tool_choice", dict)
    if choice is None:
        return found
    kind = choice.get("type")
    if kind == "tool":
        name = _required(choice, "name", "tool_choice")
        found["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif kind in ("auto", "any", "none"):
        found["tool_choice"] = "required" if kind == "any" else kind
    else:
        raise _wrong("tool_choice.type", "must be auto, any, tool or none")
    if typed(choice, "disable_parallel_tool_use", bool, "tool_choice."):
        found["parallel_tool_calls"] = False
    return found


def _output(fields: Mapping[str, Any]) -> Json:
    """Return what is asked of the form of the answer."""
    config = typed(fields, "output_config", dict) or {}
    effort = typed(config, "effort", str, "output_config.")
    found: Json = {"reasoning_effort": effort} if effort else {}
    form = typed(config, "format", dict, "output_config.")
    if form is None:
        return found
    schema = typed(form, "schema", dict, "output_config.format.")
    if form.get("type") != "json_schema" or schema is None:
        raise _wrong("output_config.format", "must be a json_schema with its schema")
    return {**found, "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}}


def _tool(value: object, place: str) -> Json:
    if not isinstance(value, dict):
        raise _wrong(place, "must be an object")
    if value.get("type") not in (None, "custom"):
        raise InvalidRequest(
            f"{place}.type: this router runs no tools of its own; only tools of the client are handed to the model",
            code="unsupported_value",
            param=f"{place}.type",
        )
    function: Json = {"name": _required(value, "name", place)}
    if value.get("description") is not None:
        function["description"] = value["description"]
    function["parameters"] = typed(value, "input_schema", dict, f"{place}.") or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _block(value: object, place: str) -> Json:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise _wrong(f"{place}.type", "a block is an object with a type")
    return value


def _text(block: object, place: str) -> str:
    if not isinstance(block, dict) or block.get("type") != "text":
        raise _wrong(f"{place}.type", "must be text")
    return _required(block, "text", place)


def _required(block: Mapping[str, Any], name: str, place: str) -> str:
    return _text_of(block.get(name), f"{place}.{name}")


def _text_of(value: object, param: str) -> str:
    if not isinstance(value, str):
        raise _wrong(param, "must be a text")
    return value


def _unknown(place: str, kind: str, known: str) -> InvalidRequest:
    if kind in _SERVER_BLOCKS:
        known += "; it runs no tools of its own"
    return _wrong(f"{place}.type", f"this router knows the blocks {known}", code="unsupported_value")


def _wrong(param: str, expected: str, *, code: str = "invalid_type") -> InvalidRequest:
    return InvalidRequest(f"{param}: {expected}", code=code, param=param[:128])

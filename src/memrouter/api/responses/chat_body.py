"""A request to ``/v1/responses`` becomes the body of a chat completions request. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from memrouter.api.json_fields import object_of, typed
from memrouter.api.responses.items import Item, Message, messages_of
from memrouter.errors import InvalidRequest

_OWN: Final = frozenset(
    {
        "input", "messages", "instructions", "previous_response_id", "store", "metadata", "auto_store",
        "memory_config", "memory_context", "conversation_id", "max_output_tokens", "tools", "tool_choice", "text",
        "reasoning", "truncation", "include", "background", "conversation", "prompt", "max_tool_calls",
        "stream_options", "context_management", "top_logprobs",
    }
)  # fmt: skip
"""Fields of the Responses API, or the Go router's in it, that chat completions do not have, or in another form."""

_REFUSED: Final = {
    "background": "this router answers at once; leave background out",
    "conversation": "this router keeps chains by previous_response_id; leave conversation out",
    "prompt": "this router keeps no prompt templates; send instructions and input",
}
_CHOICES: Final = ("auto", "none", "required")
_MAX_METADATA: Final = 16
_MAX_METADATA_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A checked body.

    Attributes:
        fields: Everything that was sent.
        model: The model that the client named.
        stream: Whether events are wanted.
        instructions: For this response alone.
        previous: Id of the response before; None for the first of a chain.
        store: Whether the response can be asked for and built upon later, if the server keeps any.
        auto_store: Whether the turn is remembered; None leaves it to the route.
        user: What the client says about its user; proves nothing.
    """

    fields: Mapping[str, Any]
    model: str
    stream: bool
    instructions: str | None
    previous: str | None
    store: bool
    auto_store: bool | None
    user: str | None = None

    @classmethod
    def parse(cls, body: bytes) -> "ResponsesRequest":
        """Return the request behind a body.

        Raises:
            InvalidRequest: Not a JSON object, a field of the wrong type, or one that cannot be met; ``param`` names it.
        """
        fields = object_of(body)
        for name, advice in _REFUSED.items():
            if fields.get(name):
                raise InvalidRequest(f"{name}: {advice}", code="unsupported_parameter", param=name)
        model = typed(fields, "model", str)
        if not model:
            raise InvalidRequest(
                "model is missing or empty; name a model, or auto", code="missing_field", param="model"
            )
        if fields.get("input") is None:
            raise InvalidRequest(
                "input is missing; send a text or a list of items", code="missing_field", param="input"
            )
        _check(fields)
        store = typed(fields, "store", bool)
        return cls(
            fields=fields,
            model=model,
            stream=bool(typed(fields, "stream", bool)),
            instructions=typed(fields, "instructions", str),
            previous=typed(fields, "previous_response_id", str) or None,
            store=True if store is None else store,
            auto_store=typed(fields, "auto_store", bool),
            user=typed(fields, "user", str),
        )


def chat_body(request: ResponsesRequest, items: Sequence[Item], *, history: Sequence[Item] = ()) -> bytes:
    """Return the body of a chat completions request.

    Fields that chat completions have too are handed on as they are.

    Args:
        request: What was asked.
        items: The input, without references.
        history: What the chain holds before it.

    Raises:
        InvalidRequest: Something that cannot be said in chat completions; ``param`` names it.
    """
    messages: list[Message] = []
    if request.instructions:
        messages.append({"role": "system", "content": request.instructions})
    said = messages_of(items, history=history)
    if not said:
        raise InvalidRequest("input: holds nothing that can be answered", code="invalid_value", param="input")
    messages += said
    body: dict[str, Any] = {name: value for name, value in request.fields.items() if name not in _OWN}
    body |= {"model": request.model, "messages": messages}
    body |= _limits(request.fields) | _tools(request.fields) | _format(request.fields)
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def _check(fields: Mapping[str, Any]) -> None:
    """Refuse what the answer would repeat, or nobody would honour."""
    if fields.get("truncation") not in (None, "auto", "disabled"):
        raise InvalidRequest("truncation: auto or disabled", code="invalid_value", param="truncation")
    typed(fields, "parallel_tool_calls", bool)
    metadata = typed(fields, "metadata", dict) or {}
    if len(metadata) > _MAX_METADATA:
        raise InvalidRequest(f"metadata: at most {_MAX_METADATA} pairs", code="invalid_value", param="metadata")
    for value in metadata.values():
        if not isinstance(value, str) or len(value) > _MAX_METADATA_CHARS:
            raise InvalidRequest(
                f"metadata: every value is a text of at most {_MAX_METADATA_CHARS} characters",
                code="invalid_type",
                param="metadata",
            )


def _limits(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    most = typed(fields, "max_output_tokens", int)
    if most is not None and most < 1:
        raise InvalidRequest("max_output_tokens: at least 1", code="invalid_value", param="max_output_tokens")
    if most is not None:
        found["max_completion_tokens"] = most
    logprobs = typed(fields, "top_logprobs", int)
    if logprobs:
        found |= {"logprobs": True, "top_logprobs": logprobs}
    effort = typed(typed(fields, "reasoning", dict) or {}, "effort", str, "reasoning.")
    if effort:
        found["reasoning_effort"] = effort
    return found


def _tools(fields: Mapping[str, Any]) -> dict[str, Any]:
    tools = typed(fields, "tools", list)
    found: dict[str, Any] = {}
    if tools:
        found["tools"] = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    choice = fields.get("tool_choice")
    if choice is None:
        return found
    if isinstance(choice, str) and choice in _CHOICES:
        return {**found, "tool_choice": choice}
    if isinstance(choice, dict) and choice.get("type") == "function" and isinstance(choice.get("name"), str):
        return {**found, "tool_choice": {"type": "function", "function": {"name": choice["name"]}}}
    raise InvalidRequest(
        "tool_choice: auto, none, required, or a function by name", code="invalid_type", param="tool_choice"
    )


def _tool(tool: object, place: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise InvalidRequest(f"{place}: a tool is an object", code="invalid_type", param=place)
    if tool.get("type") != "function":
        raise InvalidRequest(
            f"{place}.type: this router runs no tools of its own; only function tools are handed to the model",
            code="unsupported_value",
            param=f"{place}.type",
        )
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise InvalidRequest(f"{place}.name: a function has a name", code="missing_field", param=f"{place}.name")
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}


def _format(fields: Mapping[str, Any]) -> dict[str, Any]:
    text = typed(fields, "text", dict) or {}
    verbosity = typed(text, "verbosity", str, "text.")
    found: dict[str, Any] = {"verbosity": verbosity} if verbosity else {}
    form = typed(text, "format", dict, "text.")
    if form is None:
        return found
    kind = form.get("type")
    if kind == "text":
        return found
    if kind == "json_object":
        return {**found, "response_format": {"type": "json_object"}}
    if kind == "json_schema":
        if not isinstance(form.get("name"), str):
            raise InvalidRequest("text.format.name: must be a text", code="missing_field", param="text.format.name")
        schema = {
            name: form[name] for name in ("name", "description", "schema", "strict") if form.get(name) is not None
        }
        return {**found, "response_format": {"type": "json_schema", "json_schema": schema}}
    raise InvalidRequest(
        "text.format.type: text, json_object or json_schema", code="invalid_type", param="text.format.type"
    )

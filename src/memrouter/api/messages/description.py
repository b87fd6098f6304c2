"""The Messages API in the OpenAPI description."""

from typing import Any, Final

_OBJECTS: Final = {"type": "array", "items": {"type": "object"}}
_TEXT_OR_BLOCKS: Final = {"oneOf": [{"type": "string"}, _OBJECTS]}
_COUNTED_FIELDS: Final[dict[str, Any]] = {
    "model": {"type": "string", "minLength": 1, "description": "A model of the router, or `auto`"},
    "messages": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": {"role": {"enum": ["user", "assistant"]}, "content": _TEXT_OR_BLOCKS},
            "required": ["role", "content"],
        },
    },
    "system": {"oneOf": [*_TEXT_OR_BLOCKS["oneOf"], {"type": "null"}]},
    "tools": {**_OBJECTS, "type": ["array", "null"], "description": "Tools of the client"},
    "tool_choice": {"type": ["object", "null"], "description": "`type`: `auto`, `any`, `tool` or `none`"},
}
_FIELDS: Final[dict[str, Any]] = {
    **_COUNTED_FIELDS,
    "max_tokens": {"type": "integer", "minimum": 1},
    "stream": {"type": ["boolean", "null"], "default": False},
    "stop_sequences": {"type": ["array", "null"], "items": {"type": "string"}},
    "temperature": {"type": ["number", "null"]},
    "top_p": {"type": ["number", "null"]},
    "top_k": {"type": ["integer", "null"]},
    "output_config": {"type": ["object", "null"], "description": "`effort`; `format`: a `json_schema`"},
    "metadata": {"type": ["object", "null"], "description": "Not read; a user in it is not believed"},
}


def _body(fields: dict[str, Any], required: list[str], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": required}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


_EXAMPLE: Final = {"model": "auto", "messages": [{"role": "user", "content": "What do I like to eat?"}]}

CREATE: Final = _body(_FIELDS, ["model", "messages", "max_tokens"], {**_EXAMPLE, "max_tokens": 1024})
"""The body of a request for a message."""
COUNT: Final = _body(_COUNTED_FIELDS, ["model", "messages"], _EXAMPLE)
"""The body of a request to count tokens."""
MESSAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The message, or its events",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
    }
}
"""What a request for a message gets."""
COUNTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "An estimate",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"input_tokens": {"type": "integer"}}},
                "example": {"input_tokens": 12},
            }
        },
    }
}
"""What a request to count tokens gets."""

"""The Responses API in the OpenAPI description."""

from typing import Any, Final

from memrouter.api.responses.page import DEFAULT_PAGE, MAX_PAGE

_OBJECTS: Final = {"type": "array", "items": {"type": "object"}}
_FIELDS: Final[dict[str, Any]] = {
    "model": {"type": "string", "minLength": 1, "description": "A model of the router, or `auto`"},
    "input": {
        "oneOf": [{"type": "string"}, {**_OBJECTS, "minItems": 1}],
        "description": "A text, or items: messages, function calls and their outputs, references",
    },
    "instructions": {"type": ["string", "null"], "description": "For this response alone"},
    "previous_response_id": {"type": ["string", "null"], "description": "The response that this one goes on from"},
    "store": {"type": ["boolean", "null"], "default": True, "description": "Whether the response is kept"},
    "stream": {"type": ["boolean", "null"], "default": False},
    "auto_store": {
        "type": ["boolean", "null"],
        "description": "Whether memory stores this turn; an extension, by default as the route has it",
    },
    "tools": {**_OBJECTS, "type": ["array", "null"], "description": "Function tools"},
    "tool_choice": {"description": "`auto`, `none`, `required`, or a function by name"},
    "parallel_tool_calls": {"type": ["boolean", "null"]},
    "text": {
        "type": ["object", "null"],
        "description": "`format`: `text`, `json_object` or `json_schema`; `verbosity`",
    },
    "reasoning": {"type": ["object", "null"], "description": "`effort`"},
    "temperature": {"type": ["number", "null"]},
    "top_p": {"type": ["number", "null"]},
    "max_output_tokens": {"type": ["integer", "null"], "minimum": 1},
    "metadata": {"type": ["object", "null"], "additionalProperties": {"type": "string"}, "maxProperties": 16},
    "truncation": {"enum": ["auto", "disabled", None]},
    "user": {"type": ["string", "null"], "description": "Handed on; not believed"},
}

CREATE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": _FIELDS, "required": ["model", "input"]},
                "example": {"model": "auto", "input": "What do I like to eat?"},
            }
        },
    }
}
"""The body of a request for a response."""

CREATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The response, or its events",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
    }
}
"""What a request for a response gets."""

OBJECT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}}
}
"""What a request about a response that was kept gets."""

PAGE: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "limit",
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
        },
        {"name": "order", "in": "query", "schema": {"enum": ["asc", "desc"], "default": "desc"}},
        {"name": "after", "in": "query", "schema": {"type": "string"}},
    ]
}
"""The parameters of a page of items."""

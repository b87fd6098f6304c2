"""Chat completions in the OpenAPI description: what the router reads of a request; everything else passes through."""

from typing import Any, Final

_MESSAGE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "description": "`system`, `user`, `assistant`, `tool` and what the model takes"},
        "content": {
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}, {"type": "null"}],
            "description": "A text, or parts",
        },
    },
    "required": ["role"],
}

CREATE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "model": {"type": "string", "minLength": 1, "description": "A model of the router, or `auto`"},
                        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
                        "stream": {"type": ["boolean", "null"], "default": False},
                        "tools": {
                            "type": ["array", "null"],
                            "items": {"type": "object"},
                            "description": "Counted for signals, handed on as they are",
                        },
                    },
                    "required": ["model", "messages"],
                },
                "example": {"model": "auto", "messages": [{"role": "user", "content": "What do I like to eat?"}]},
            }
        },
    }
}
"""The body of a request for a chat completion."""

CREATED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The completion, or its events, as the model server sent them",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
    }
}
"""What a request for a chat completion gets."""

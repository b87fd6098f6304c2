"""What schemathesis cannot know of the API; read by its command line, which ``SCHEMATHESIS_HOOKS`` leads here."""

import json
import os
from collections.abc import Mapping
from typing import Any

import schemathesis

REAL_IDS: Mapping[str, str] = json.loads(os.environ["MEMROUTER_TEST_IDS"])
"""Values of path parameters that name something which is there."""

LONGEST_QUERY = 60_000
"""Bytes; the HTTP server refuses a target of 64 KiB by itself, in words of its own."""


@schemathesis.serializer("application/x-ndjson")
def ndjson(_ctx: schemathesis.SerializationContext, value: Any) -> bytes:
    """Return bytes as they are, and lists as one value a line."""
    if isinstance(value, bytes | str):
        return value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    return "\n".join(map(json.dumps, value if isinstance(value, list) else [value])).encode()


@schemathesis.hook
def map_path_parameters(_ctx: schemathesis.HookContext, path_parameters: dict[str, Any] | None) -> Any:
    """Let half of the requests that name something name something that is there."""
    if not path_parameters:
        return path_parameters
    return {
        name: REAL_IDS[name] if name in REAL_IDS and len(str(value)) % 2 else value
        for name, value in path_parameters.items()
    }


@schemathesis.hook
def filter_query(_ctx: schemathesis.HookContext, query: dict[str, Any] | None) -> bool:
    """Leave out what does not reach the router."""
    escaped = len(repr(query or {}).encode(errors="surrogatepass")) * len("%00")
    return escaped <= LONGEST_QUERY

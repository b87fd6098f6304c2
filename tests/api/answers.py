"""What translations write, read back."""

import json
from typing import Any

from hypothesis import strategies as st

from memrouter.api.translation import Translation

HEADERS = [(b"content-type", b"text/event-stream"), (b"content-length", b"7"), (b"x-of-backend", b"kept")]
JSON_HEADERS = [(b"content-type", b"application/json")]
DONE = b"data: [DONE]\n\n"
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    """Return an event of a streamed chat completion."""
    wire = {"model": "m-1", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish, **more}]}
    return b"data: " + json.dumps(wire).encode() + b"\n\n"


def call(index: int, arguments: str, *, name: str | None = None, number: str | None = None) -> bytes:
    """Return an event with a part of a call of a function."""
    return chunk({"tool_calls": [{"index": index, "id": number, "function": {"name": name, "arguments": arguments}}]})


def usage() -> bytes:
    """Return the event with the token counts."""
    return b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"


def completion(message: dict[str, Any], *, finish: str = "stop", **more: Any) -> bytes:
    """Return a whole chat completion."""
    choice = {"index": 0, "message": message, "finish_reason": finish, **more}
    return json.dumps({"model": "m-1", "choices": [choice], "usage": USAGE}).encode()


def events_of(written: bytes) -> list[dict[str, Any]]:
    """Return the data of server-sent events, each of which names its type twice."""
    found = []
    for block in written.decode().split("\n\n")[:-1]:
        first, second = block.split("\n")
        data = json.loads(second.removeprefix("data: "))
        assert first == f"event: {data['type']}"
        found.append(data)
    return found


def streamed(translation: Translation, *chunks: bytes) -> list[dict[str, Any]]:
    """Return the events for a stream that ends well."""
    translation.start(200, HEADERS)
    written = b"".join(map(translation.feed, chunks))
    return events_of(written + translation.end())


def whole(translation: Translation, body: bytes, *, status: int = 200) -> Any:
    """Return the answer for a body that is not streamed."""
    translation.start(status, JSON_HEADERS)
    assert translation.feed(body) == b""
    return json.loads(translation.end())


deltas = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(max_size=10)),
    st.builds(lambda text: {"reasoning_content": text}, st.text(max_size=10)),
    st.builds(lambda text: {"refusal": text}, st.text(max_size=5)),
    st.builds(
        lambda index, arguments: {
            "tool_calls": [{"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": arguments}}]
        },
        st.integers(0, 2),
        st.text(max_size=5),
    ),
)
"""What a model server may say in one event of a stream."""

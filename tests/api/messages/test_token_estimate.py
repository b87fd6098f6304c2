"""What counts as text of a request."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.messages.chat_body import MessagesRequest, chat_body
from memrouter.api.messages.token_estimate import countable


def counted(**fields: Any) -> tuple[str, int]:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], **fields}
    return countable(chat_body(MessagesRequest.parse(json.dumps(body).encode(), counting=True)))


def test_words_of_system_messages_calls_and_tools_count() -> None:
    messages = [
        {"role": "user", "content": "rain?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "yes"}]},
    ]
    tools = [{"name": "weather", "description": "tells the weather"}]
    text, media = counted(system="Be brief.", messages=messages, tools=tools)
    assert all(word in text for word in ("Be brief.", "rain?", 'weather{"a":1}', "yes", "tells the weather"))
    assert media == 0


def test_an_image_counts_as_one_whatever_its_size() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 100_000}
    text, media = counted(messages=[{"role": "user", "content": [{"type": "image", "source": source}]}])
    assert media == 1
    assert len(text) < 100


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_all_words_count(words: list[str]) -> None:
    text, _ = counted(messages=[{"role": "user", "content": word} for word in words])
    assert text == "\n".join(words)

"""Items of the Responses API as chat messages."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.responses.items import Item, items_of, messages_of, named, resolved
from memrouter.errors import InvalidRequest

CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "rain"}


def said(*values: Any, history: Any = ()) -> list[dict[str, Any]]:
    return messages_of(items_of(list(values)), history=items_of(list(history)) if history else ())


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("text", ["", "hello", "x" * 100_000])
def test_a_text_is_one_user_message(text: str) -> None:
    assert messages_of(items_of(text)) == [user(text)]


def test_messages_keep_their_role_and_words() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}]
    answer = [{"type": "output_text", "text": "c"}, {"type": "refusal", "refusal": "d"}]
    assert said(
        {"role": "system", "content": "s"}, {"role": "developer", "content": "t"},
        {"type": "message", "role": "user", "content": parts}, {"role": "assistant", "content": answer},
    ) == [
        {"role": "system", "content": "s"}, {"role": "system", "content": "t"},
        {"role": "user", "content": "a\nb"}, {"role": "assistant", "content": "c\nd"},
    ]  # fmt: skip


def test_images_files_and_audio_map_to_parts() -> None:
    audio = {"data": "AAAA", "format": "wav"}
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "https://x/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
        {"type": "input_audio", "input_audio": audio},
    ]
    assert said({"role": "user", "content": parts})[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": audio},
    ]


def test_calls_join_the_assistants_message_and_outputs_follow() -> None:
    second = {**CALL, "call_id": "c2"}
    assistant, first_output, second_output, last = said(
        {"role": "assistant", "content": "I look."}, CALL, second, OUTPUT, {**OUTPUT, "call_id": "c2"},
        {"role": "user", "content": "and?"},
    )  # fmt: skip
    assert assistant["content"] == "I look."
    assert [call["id"] for call in assistant["tool_calls"]] == ["c1", "c2"]
    assert assistant["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert first_output == {"role": "tool", "tool_call_id": "c1", "content": "rain"}
    assert (second_output["role"], last["role"]) == ("tool", "user")


def test_a_call_without_words_has_a_message_of_its_own() -> None:
    messages = said(user("rain?"), CALL, OUTPUT, CALL)
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["content"] is None


def test_the_output_of_a_call_may_be_text_parts() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert said(CALL, {**OUTPUT, "output": parts})[1]["content"] == "a\nb"


def test_reasoning_is_passed_over() -> None:
    assert said({"type": "reasoning", "id": "rs_1", "summary": []}, user("hi")) == [user("hi")]


def test_calls_of_the_input_join_the_history() -> None:
    messages = said(CALL, OUTPUT, history=[user("rain?"), {"role": "assistant", "content": "I look."}])
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["id"] == "c1"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (7, "input[1]"),
        ("text", "input[1]"),
        ({}, "input[1].role"),
        ({"type": 7}, "input[1].type"),
        ({"type": []}, "input[1].type"),
        ({"type": "web_search_call"}, "input[1].type"),
        ({"role": "root", "content": "x"}, "input[1].role"),
        ({"role": ["user"], "content": "x"}, "input[1].role"),
        ({"role": "user"}, "input[1].content"),
        ({"role": "user", "content": 7}, "input[1].content"),
        ({"role": "user", "content": [7]}, "input[1].content[0]"),
        ({"role": "user", "content": [{"type": "video"}]}, "input[1].content[0].type"),
        ({"role": "user", "content": [{"type": {}}]}, "input[1].content[0].type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[1].content[0].text"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[1].content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "input[1].content[0].file_data"),
        ({"type": "function_call", "call_id": "c"}, "input[1].name"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[1].call_id"),
        ({**CALL, "arguments": {}}, "input[1].arguments"),
        ({"type": "function_call_output", "output": "x"}, "input[1].call_id"),
        ({**OUTPUT, "output": 7}, "input[1].output"),
        ({**OUTPUT, "output": [{"type": "input_image", "image_url": "x"}]}, "input[1].output"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_place(item: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        said(user("hi"), item, history=[user("before"), user("that")])
    assert refused.value.param == param


@pytest.mark.parametrize("value", [None, 7, {}, [], True])
def test_input_is_a_text_or_items(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        items_of(value)
    assert refused.value.param == "input"


def test_references_are_replaced_by_what_they_mean() -> None:
    history = [{"type": "message", "id": "msg_1", "role": "user", "content": "I live in Graz."}]
    for reference in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        assert resolved(items_of([reference]), history) == history


@pytest.mark.parametrize("name", ["msg_2", None, 7, [], {}])
def test_a_reference_to_nothing_is_refused(name: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(items_of([{"type": "item_reference", "id": name}]), [])
    assert refused.value.param == "input[0].id"


def test_items_are_named_and_their_words_put_in_parts() -> None:
    def new_id(kind: str) -> str:
        return f"{kind}_new"

    values = [user("a"), {"role": "assistant", "content": "b", "id": "msg_1"}, CALL, OUTPUT, {"type": "reasoning"}]
    items = [named(item, new_id) for item in items_of(values)]
    assert [item["id"] for item in items] == ["msg_new", "msg_1", "fc_new", "fco_new", "rs_new"]
    assert items[0]["content"] == [{"type": "input_text", "text": "a"}]
    assert items[1]["content"] == [{"type": "output_text", "text": "b"}]


texts = st.text(max_size=20)
known_parts = st.one_of(
    st.builds(lambda text: {"type": "input_text", "text": text}, texts),
    st.builds(lambda url: {"type": "input_image", "image_url": url}, texts.filter(bool)),
)
known_items = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, texts),
    st.builds(lambda parts: {"role": "user", "content": parts}, st.lists(known_parts, max_size=3)),
    st.builds(lambda text: {"role": "assistant", "content": [{"type": "output_text", "text": text}]}, texts),
    st.just(CALL),
    st.just(OUTPUT),
)


def words_of(value: object) -> int:
    """Return how many characters of text stand in items or messages."""
    if isinstance(value, list):
        return sum(map(words_of, value))
    if isinstance(value, dict):
        return sum(
            len(inner)
            if key == "text" or (key in ("content", "output") and isinstance(inner, str))
            else words_of(inner)
            for key, inner in value.items()
        )
    return 0


@given(st.lists(known_items, min_size=1, max_size=8))
def test_nothing_that_was_said_is_lost(items: list[Item]) -> None:
    messages = said(*items)
    joints = sum(max(0, len(item["content"]) - 1) for item in items if isinstance(item.get("content"), list))
    lost = words_of([dict(item) for item in items]) - words_of(messages)
    assert -joints <= lost <= 0
    assert sum(len(message.get("tool_calls", ())) for message in messages) == sum(item is CALL for item in items)
    assert sum(message["role"] == "tool" for message in messages) == sum(item is OUTPUT for item in items)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["user", "message", "function_call", "input_text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "id", "call_id", "output"]), inner)
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_input_makes_it_fail_otherwise_than_by_name(value: Any) -> None:
    param = "input"
    try:
        items = [named(item, lambda kind: kind) for item in resolved(items_of(value), [])]
        json.dumps(messages_of(items))
    except InvalidRequest as error:
        param = str(error.param)
    assert param.startswith("input")

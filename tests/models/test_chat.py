"""The request is read by spans and edited by splices: what nobody touched stays as it was."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.models.chat import ChatDraft, ChatRequest, Span, array_spans, object_spans

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})
    | st.fixed_dictionaries({"type": st.just("image_url"), "image_url": VALUES}),
    max_size=3,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.none() | st.text() | PARTS},
        optional={"name": st.text(), "x": VALUES},
    ),
    min_size=1,
    max_size=5,
)
BODIES = st.builds(
    lambda model, messages, rest: {**rest, "model": model, "messages": messages},
    st.text(min_size=1),
    MESSAGES,
    st.dictionaries(st.text().filter(lambda key: key not in {"model", "messages", "stream", "tools"}), VALUES),
)


def dump(body: object, *, indent: int | None = None, ascii_only: bool = True) -> bytes:
    text = json.dumps(body, indent=indent, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


def encodable(body: object) -> bool:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def parse(body: bytes) -> ChatRequest:
    return ChatRequest.parse(body)


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


@given(BODIES.filter(encodable), st.sampled_from([None, 0, 3]), st.booleans())
def test_a_request_without_edits_leaves_as_the_same_bytes(body: dict[str, Any], indent: int | None, esc: bool) -> None:
    raw = dump(body, indent=indent, ascii_only=esc)
    assert ChatDraft(parse(raw)).render() is raw


@given(BODIES.filter(encodable), st.sampled_from([None, 2]), st.booleans(), st.text().filter(encodable), st.data())
def test_edits_change_what_they_name_and_nothing_else(
    body: dict[str, Any], indent: int | None, esc: bool, text: str, data: st.DataObject
) -> None:
    messages = body["messages"]
    request = parse(dump(body, indent=indent, ascii_only=esc))
    index = data.draw(st.integers(0, len(messages)))
    draft = ChatDraft(request)
    draft.set_model("other")
    draft.insert_message(index, "user", text)
    expected = {**body, "model": "other", "messages": [*messages[:index], user(text), *messages[index:]]}
    rendered = draft.render()
    assert json.loads(rendered) == expected
    for message in request.messages:
        assert request.body[message.span.start : message.span.end] in rendered


@given(BODIES.filter(encodable), st.text(min_size=1).filter(encodable), st.data())
def test_text_is_put_in_front_of_any_kind_of_content(body: dict[str, Any], text: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(body["messages"]) - 1))
    draft = ChatDraft(parse(dump(body)))
    draft.prepend_text(index, text)
    old, new = body["messages"][index]["content"], json.loads(draft.render())["messages"][index]["content"]
    if old is None:
        assert new == text
    elif isinstance(old, str):
        assert new == text + old
    else:
        assert new == [{"type": "text", "text": text}, *old]


def test_edits_at_one_place_keep_their_order() -> None:
    draft = ChatDraft(parse(dump({"model": "m", "messages": [user("q")]})))
    for word in ("first", "second"):
        draft.insert_message(0, "system", word)
    assert [m["content"] for m in json.loads(draft.render())["messages"]] == ["first", "second", "q"]


def test_replacing_and_removing_leave_the_neighbours_alone() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, user("q")],
    }
    draft = ChatDraft(parse(dump(body, indent=1)))
    draft.replace_message(0, "system", "new")
    draft.remove_message(1)
    assert json.loads(draft.render())["messages"] == [{"role": "system", "content": "new"}, user("q")]


def test_numbers_that_a_parser_would_round_survive() -> None:
    raw = b'{"model":"m","seed":123456789012345678901234567890,"t":1e-5,"z":-0.0,"messages":[{"role":"user"}]}'
    draft = ChatDraft(parse(raw))
    draft.set_model("n")
    assert draft.render() == raw.replace(b'"m"', b'"n"')


def test_words_come_from_strings_and_text_parts() -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {"url": "data:x"}},
        {"type": "text", "text": "two"},
    ]
    request = parse(
        dump({"model": "m", "messages": [user("old"), user(parts), {"role": "assistant", "content": None}]})
    )
    assert request.query == "one\ntwo"
    assert [m.images for m in request.messages] == [0, 1, 0]
    assert request.last_user_index == 1


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", "body"),
        (b"[]", "invalid_type", "body"),
        (b'{"model":"m"', "invalid_json", "body"),
        (b'{"model":"m"}', "invalid_type", "messages"),
        (b'{"messages":[{"role":"user"}]}', "invalid_type", "model"),
        (b'{"model":"","messages":[{"role":"user"}]}', "invalid_request", "model"),
        (b'{"model":1,"messages":[{"role":"user"}]}', "invalid_type", "model"),
        (b'{"model":"m","messages":[]}', "invalid_request", "messages"),
        (b'{"model":"m","messages":{}}', "invalid_type", "messages"),
        (b'{"model":"m","messages":[5]}', "invalid_type", "messages[0]"),
        (b'{"model":"m","messages":[{}]}', "invalid_type", "messages[0].role"),
        (b'{"model":"m","messages":[{"role":"user","content":5}]}', "invalid_type", "messages[0].content"),
        (b'{"model":"m","stream":"yes","messages":[{"role":"user"}]}', "invalid_type", "stream"),
        (b'{"model":"m","messages":[{"role":"user","content":"\x00"}]}', "invalid_json", "body"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "invalid_encoding", "body"),
        (b'{"model":"m","messages":[{"role":"user"}],"model":"n"}', "duplicate_key", None),
        (b'{"model":"m","x":1,"x":1,"messages":[{"role":"user"}]}', "duplicate_key", None),
        (
            b'{"model":"m","messages":[{"role":"user"}],"deep":' + b"[" * 5000 + b"]" * 5000 + b"}",
            "invalid_json",
            "body",
        ),
    ],
)
def test_a_bad_body_is_refused_with_the_field_named(body: bytes, code: str, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.code == code
    assert param is None or caught.value.param == param


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_parsed_or_refused(raw: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        parse(raw)


@given(st.dictionaries(st.text().filter(encodable), VALUES.filter(encodable)), st.sampled_from([None, 1]))
def test_object_spans_point_at_the_values(body: dict[str, Any], indent: int | None) -> None:
    raw = dump(body, indent=indent, ascii_only=False)
    spans = object_spans(raw, Span(0, len(raw)))
    assert {key: json.loads(raw[span.start : span.end]) for key, span in spans.items()} == body


@given(st.lists(VALUES.filter(encodable)), st.sampled_from([None, 1]))
def test_array_spans_point_at_the_items(body: list[Any], indent: int | None) -> None:
    raw = b"  " + dump(body, indent=indent)
    assert [json.loads(raw[span.start : span.end]) for span in array_spans(raw, Span(0, len(raw)))] == body

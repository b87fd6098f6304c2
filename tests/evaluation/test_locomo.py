import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import InvalidRequest
from memrouter.evaluation.conversations import DataSet, LeftOut
from memrouter.evaluation.locomo import TURN_MS, parse_data_set, read_data_set, read_sample

GOOD: list[dict[str, Any]] = [
    {
        "sample_id": "one",
        "conversation": {
            "speaker_a": "Ann",
            "session_2_date_time": "12:05 am on 1 March, 2024",
            "session_2": [{"speaker": "Ben", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a red kite"}],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "Hello\u0000 there"},
                {"speaker": "Ben", "dia_id": "D1:2", "text": "Hi"},
            ],
            "session_3_date_time": "1:00 pm on 2 March, 2024",
        },
        "qa": [
            {"question": "Who?", "answer": 7, "evidence": ["D1:1"], "category": 4},
            {"question": "Both?", "evidence": ["D1:1; D2:1", "D1:1"], "category": 1},
            {"question": "Broken?", "evidence": ["D1:2", "D9:9", "D"], "category": 2},
            {"question": "Nothing?", "evidence": ["D:1:1"], "category": 3},
            {"question": "Empty?", "evidence": [], "category": 3},
            {"question": "Trick?", "adversarial_answer": "x", "evidence": ["D1:1"], "category": 5},
        ],
    }
]


def parsed(value: object) -> DataSet:
    return parse_data_set(json.dumps(value).encode(), "x.json", shown="x.json")


def changed(change: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
    value = copy.deepcopy(GOOD)
    change(value[0])
    return value


def ms(year: int, month: int, day: int, hour: int, minute: int) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


def test_turns_come_in_the_order_of_time_with_speaker_caption_and_place() -> None:
    turns = parsed(GOOD).conversations[0].utterances
    assert [(turn.id, turn.session, turn.index) for turn in turns] == [
        ("D1:1", "session_1", 0),
        ("D1:2", "session_1", 1),
        ("D2:1", "session_2", 0),
    ]
    assert [turn.text for turn in turns] == ["Ann: Hello there", "Ben: Hi", "Ben: Look! [shares a red kite]"]


def test_times_are_those_of_the_session_spread_by_turn() -> None:
    conversation = parsed(GOOD).conversations[0]
    begun = ms(2023, 5, 8, 13, 56)
    assert [turn.at for turn in conversation.utterances] == [begun, begun + TURN_MS, ms(2024, 3, 1, 0, 5)]
    assert conversation.asked_at == ms(2024, 3, 2, 0, 5)


def test_evidence_is_split_and_what_names_no_turn_is_left_out_and_counted() -> None:
    data = parsed(GOOD)
    assert [(q.text, q.category, q.evidence) for q in data.conversations[0].questions] == [
        ("Who?", 4, ("D1:1",)),
        ("Both?", 1, ("D1:1", "D2:1")),
        ("Broken?", 2, ("D1:2",)),
    ]
    assert data.left_out == LeftOut(category=1, without_evidence=2, unknown_ids=3)
    assert (data.name, data.memories, data.questions) == ("x.json", 3, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "x.json: $: Expected `array`, got `object`"),
        ([], "x.json: $: an empty list"),
        ([1], "x.json: $[0]: Expected `object`, got `int`"),
        ([{"conversation": {}}], "x.json: $[0]: Object missing required field `qa`"),
        (changed(lambda c: c["qa"][1].update(question=3)), "x.json: $[0].qa[1].question: Expected `str`, got `int`"),
        (changed(lambda c: c["qa"][1].update(evidence="D1:1")), "x.json: $[0].qa[1].evidence: Expected `array`"),
        (
            changed(lambda c: c["conversation"]["session_1"][1].update(text=None)),
            "x.json: $[0].conversation.session_1[1].text: Expected `str`, got `null`",
        ),
        (
            changed(lambda c: c["conversation"].update(session_1="hi")),
            "x.json: $[0].conversation.session_1: Expected `array`, got `str`",
        ),
        (
            changed(lambda c: c["conversation"].pop("session_1_date_time")),
            "x.json: $[0].conversation.session_1_date_time: found nothing; must be a time such as",
        ),
        (
            changed(lambda c: c["conversation"].update(session_1_date_time="yesterday")),
            "x.json: $[0].conversation.session_1_date_time: found 'yesterday'; must be a time such as",
        ),
        (
            changed(lambda c: c["conversation"].update(session_1_date_time="1:00 pm on 8 May, 1066")),
            "must be a time after 1970",
        ),
        (
            changed(lambda c: c["conversation"]["session_2"][0].update(dia_id="D1:1")),
            "x.json: $[0].conversation.session_2: the dia_id 'D1:1' names two turns",
        ),
        (changed(lambda c: c.update(conversation={})), "x.json: $[0].conversation: no turn"),
        (changed(lambda c: c.update(qa=[])), "x.json: no question of a category from 1 to 4 names a turn"),
    ],
)
def test_another_form_is_refused_with_file_and_place(value: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parsed(value)
    assert message in str(refused.value)


def test_broken_json_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidRequest, match=r"^x\.json:3: JSON is malformed"):
        parse_data_set(b'[{"qa": [],\n "conversation":\n ,}]', "x.json", shown="x.json")
    with pytest.raises(InvalidRequest, match=r"^x\.json:2: "):
        parse_data_set(b"[\n", "x.json", shown="x.json")


@pytest.mark.parametrize("raw", [b"\xff\xfe", b'[{"qa": "\xff"}]', b"[" * 100_000, b""])
def test_what_is_no_json_at_all_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^x\.json"):
        parse_data_set(raw, "x.json", shown="x.json")


def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"absent\.json: cannot be read \(No such file"):
        read_data_set(tmp_path / "absent.json")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_data_set(tmp_path)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_data_set(tmp_path / "nul\0byte")


def test_a_file_is_read_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(GOOD))
    assert read_data_set(path).name == "mine.json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["speaker", "dia_id", "text", "session_1", "session_1_date_time", "question", "evidence", "category", "qa"]


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_and_never_crashes(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_data_set(raw, "x.json", shown="x.json")


@given(st.sampled_from(KEYS), JSON)
def test_a_field_of_any_other_value_is_read_or_refused(key: str, value: Any) -> None:
    def planted(node: Any) -> Any:
        if isinstance(node, list):
            return [planted(item) for item in node]
        if isinstance(node, dict):
            return {name: value if name == key else planted(item) for name, item in node.items()}
        return node

    try:
        data = parsed(planted(GOOD))
    except InvalidRequest as refused:
        assert str(refused).startswith("x.json")  # noqa: PT017 - either outcome is right
    else:
        assert data.questions > 0


def test_the_bundled_conversations_are_complete() -> None:
    sample = read_sample()
    assert sample.left_out == LeftOut(category=3)
    assert len(sample.conversations) == 3
    assert sample.memories >= 150
    assert sample.questions >= 60
    categories = {question.category for conversation in sample.conversations for question in conversation.questions}
    assert categories == {1, 2, 3, 4}

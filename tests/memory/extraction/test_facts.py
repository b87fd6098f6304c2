import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.extraction.facts import MAX_FACTS, Fact, Facts, read_facts
from memrouter.memory.extraction.prompt import MAX_FACT_CHARS
from memrouter.memory.storing.drafts import check_content
from memrouter.models.memory import MemoryType, Trust
from memrouter.testing.extraction_model import fact

from .extraction_records import NOON, known, turn

TURNS = [
    turn("I adopted a cat called Luna yesterday.", "Congratulations! Try the clinic of Dr Meyer."),
    turn("Please answer in metric units.", "Sure.", number=1),
]
KNOWN = [known("The user has no pets.")]
CAT = "The user has a cat called Luna."


def read(*facts: dict[str, Any], turns: list[Any] | None = None) -> Facts:
    found = read_facts(json.dumps({"facts": facts}), TURNS if turns is None else turns, KNOWN)
    assert found is not None
    return found


def only(*facts: dict[str, Any]) -> Fact:
    (kept,) = read(*facts).kept
    return kept


def test_a_fact_comes_with_its_source() -> None:
    kept = only(fact(CAT, replaces=1))
    assert (kept.text, kept.type, kept.importance, kept.trust) == (CAT, MemoryType.SEMANTIC, 0.6, Trust.DIRECT_USER)
    assert kept.sources == (TURNS[0],)
    assert kept.replaces is KNOWN[0]
    assert kept.said_at == NOON


def test_a_fact_of_several_turns_has_them_all_and_the_latest_day() -> None:
    kept = only(fact("Luna, and metric units.", turns=(2, 1, 2, 9, -1), type="procedural"))
    assert [source.turn_index for source in kept.sources] == [0, 1]
    assert kept.said_at == NOON + 1
    assert kept.type is MemoryType.PROCEDURAL


def test_relative_dates_that_are_left_in_a_fact_are_made_absolute() -> None:
    assert only(fact("The user adopted Luna yesterday.")).text == "The user adopted Luna yesterday (2026-11-21)."


@pytest.mark.parametrize("number", [0, 2, -1, 10**30])
def test_a_fact_that_replaces_nothing_known_replaces_nothing(number: int) -> None:
    found = read(fact(CAT, replaces=number))
    assert [kept.replaces for kept in found.kept] in ([None], [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "episodic"}, "malformed"),
        ({"type": 3}, "malformed"),
        ({"importance": 1.5}, "malformed"),
        ({"importance": True}, "malformed"),
        ({"importance": "high"}, "malformed"),
        ({"said_by": "system"}, "malformed"),
        ({"turns": "1"}, "malformed"),
        ({"turns": [1.5]}, "malformed"),
        ({"fact": ["Luna"]}, "malformed"),
        ({"fact": ""}, "length"),
        ({"fact": " \u0000\t"}, "length"),
        ({"fact": "?!"}, "length"),
        ({"fact": "<memrouter-memories>Luna is a cat</memrouter-memories>"}, "length"),
        ({"fact": "Luna " * (MAX_FACT_CHARS // 5 + 1)}, "length"),
        ({"turns": []}, "unsupported"),
        ({"turns": [3]}, "unsupported"),
        ({"fact": "Berlin lies by the Spree."}, "unsupported"),
        ({"turns": [2]}, "unsupported"),
    ],
)
def test_what_does_not_fit_is_dropped_and_nothing_else(changes: dict[str, object], reason: str) -> None:
    found = read({**fact(CAT), **changes}, fact("The user prefers metric units.", turns=(2,)))
    assert [kept.text for kept in found.kept] == ["The user prefers metric units."]
    assert dict(found.dropped) == {reason: 1}


def test_a_field_that_is_missing_makes_no_fact() -> None:
    for name in ("fact", "type", "importance", "said_by", "turns"):
        form = fact(CAT)
        del form[name]
        assert dict(read(form).dropped) == {"malformed": 1}


def test_the_same_fact_counts_once() -> None:
    found = read(fact(CAT), fact("the user has a  cat called LUNA."))
    assert len(found.kept) == 1
    assert dict(found.dropped) == {"repeated": 1}


def test_there_is_an_end_to_the_number_of_facts() -> None:
    found = read(*(fact(f"Luna has {number} toys.") for number in range(10_000)))
    assert len(found.kept) == MAX_FACTS
    assert 0 < found.dropped["surplus"] < 10_000


@pytest.mark.parametrize(
    "form",
    [
        fact("The user goes to the clinic of Dr Meyer.", said_by="assistant"),
        fact("The user goes to the clinic of Dr Meyer."),  # the model errs: only the assistant says so
        fact("The cat Luna is with Dr Meyer."),
        fact("Congratulations on the clinic."),
    ],
)
def test_what_only_the_assistant_said_is_believed_less(form: dict[str, Any]) -> None:
    assert only(form).trust is Trust.MODEL


def test_a_fact_is_believed_no_more_than_its_turns() -> None:
    turns = [turn("My cat is called Luna.", trust=Trust.TOOL)]
    (kept,) = read(fact(CAT), turns=turns).kept
    assert kept.trust is Trust.TOOL


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("\u6211\u4f4f\u5728\u5317\u4eac", "\u7528\u6237\u4f4f\u5728\u5317\u4eac\u3002"),
        ("Vivo in via Manzoni a Torino", "Abita a Torino, in via Manzoni."),
        ("Ich wohne in Wuppertal", "Die Person wohnt in Wuppertal."),
    ],
)  # fmt: skip
def test_facts_keep_the_language_of_the_user(user: str, text: str) -> None:
    (kept,) = read(fact(text), turns=[turn(user)]).kept
    assert (kept.text, kept.trust) == (text, Trust.DIRECT_USER)


@pytest.mark.parametrize(
    "wrap",
    [
        "{}",
        "```json\n{}\n```",
        "<think>The user {{has}} a cat</think>\n{}",
        "{{</think>{}",
        "Here you are:\n{}\nAnything else?",
    ],
)
def test_what_stands_around_the_object_is_passed_over(wrap: str) -> None:
    found = read_facts(wrap.format(json.dumps({"facts": [fact(CAT)]})), TURNS, KNOWN)
    assert found is not None
    assert [kept.text for kept in found.kept] == [CAT]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{",
        "no JSON",
        "[]",
        "null",
        '{"facts": {}}',
        '{"facts": null}',
        "{}",
        '{"facts": [' * 50_000,
        "[" * 100_000 + "}" * 100_000,
        '{"facts": [' + "[" * 50_000 + "]" * 50_000 + "]}",
        json.dumps({"facts": [fact(CAT)]})[:-3],
        "<think>" + json.dumps({"facts": [fact(CAT)]}),
    ],
)
def test_an_answer_of_another_form_has_no_facts(answer: str) -> None:
    assert read_facts(answer, TURNS, KNOWN) is None


def test_no_facts_are_a_good_answer() -> None:
    found = read_facts('{"facts": []}', TURNS, KNOWN)
    assert found is not None
    assert (found.kept, dict(found.dropped)) == ((), {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
FORMS = st.fixed_dictionaries(
    {
        "fact": st.text() | st.sampled_from([CAT, "Luna", "luna \ud800", "x" * 401]) | JSON,
        "type": st.sampled_from(["semantic", "procedural", "x"]) | JSON,
        "importance": st.floats() | JSON,
        "said_by": st.sampled_from(["user", "assistant"]) | JSON,
        "turns": st.lists(st.integers(-1, 4)) | JSON,
    },
    optional={"replaces": st.integers(-1, 3) | JSON},
)


@given(
    st.one_of(st.text(), JSON.map(json.dumps), st.lists(FORMS | JSON).map(lambda facts: json.dumps({"facts": facts})))
)
def test_whatever_a_model_writes_only_sound_facts_come_of_it(answer: str) -> None:
    found = read_facts(answer, TURNS, KNOWN)
    for kept in found.kept if found is not None else ():
        check_content(kept.text)
        assert "\n" not in kept.text
        assert kept.sources
        assert set(kept.sources) <= set(TURNS)
        assert 0 <= kept.importance <= 1
        assert kept.trust in (Trust.DIRECT_USER, Trust.MODEL)
        assert kept.replaces in (None, *KNOWN)

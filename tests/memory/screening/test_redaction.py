from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.keeping import RedactionSettings
from memrouter.evaluation.fake_secrets import FAKES
from memrouter.memory.screening.redaction import KINDS, Redactor
from memrouter.models.memory import MAX_CONTENT_BYTES

DEFAULT = Redactor(RedactionSettings())


def redactor(**settings: Any) -> Redactor:
    return Redactor(RedactionSettings.model_validate(settings))


def test_what_is_found_is_masked_and_counted_by_kind() -> None:
    card, key = FAKES["card"].make(Random(1)), FAKES["openai_key"].make(Random(1))
    clean = DEFAULT.redact(f"card {card}, key {key}, card {card}")
    assert clean.content == "card [card_number removed], key [api_key removed], card [card_number removed]"
    assert clean.counts == {"card_number": 2, "api_key": 1}


def test_full_width_digits_do_not_hide_a_card() -> None:
    card = FAKES["card"].make(Random(2))
    wide = "".join(chr(0xFF10 + int(digit)) for digit in card)
    assert DEFAULT.redact(f"card {wide} ok").content == "card [card_number removed] ok"


def test_personal_data_stays_unless_the_policy_says_otherwise() -> None:
    text = "write to ann@mail.example"
    assert DEFAULT.redact(text).content == text
    masking = redactor(personal_data={"email": "mask"}).redact(text)
    assert (masking.content, masking.counts) == ("write to [email removed]", {"email": 1})
    assert redactor(personal_data={"email": "drop"}).redact(text).dropped == "email"
    assert redactor(personal_data={"phone": "drop"}).redact(text).dropped is None


def test_a_configured_pattern_masks_or_drops_under_its_name() -> None:
    rules = [{"name": "badge", "pattern": r"B-\d{4}"}, {"name": "codename", "pattern": "Bluebird", "action": "drop"}]
    both = redactor(patterns=rules)
    assert both.redact("badge B-1234").content == "badge [badge removed]"
    assert both.redact("project Bluebird").dropped == "codename"


def test_a_configured_pattern_that_runs_out_of_time_drops_the_text() -> None:
    busy = redactor(patterns=[{"name": "slow", "pattern": r"^(a|a|aa)+$"}])
    assert busy.redact("a" * 5000 + "!").dropped == "slow"


def test_nothing_is_touched_where_redaction_is_off() -> None:
    text = f"card {FAKES['card'].make(Random(1))}"
    assert redactor(enabled=False, personal_data={"email": "drop"}).redact(text).content == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_is_not_masked_again(kind: str) -> None:
    text = f"password: [{kind} removed], token = [{kind} removed], card [{kind} removed]"
    assert DEFAULT.redact(text).content == text


@given(
    st.text(max_size=300), st.sampled_from([name for name, fake in FAKES.items() if fake.secret]), st.integers(0, 99)
)
def test_cleaning_twice_changes_nothing_more(text: str, name: str, seed: int) -> None:
    once = DEFAULT.redact(f"{text} {FAKES[name].make(Random(seed))} {text}"[:MAX_CONTENT_BYTES]).content
    assert DEFAULT.redact(once).content == once

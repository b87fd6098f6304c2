import math

import pytest

from memrouter.config.scalars import Scalar, resolve_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-12", -12),
        ("10_000", 10_000),
        ("0x1F", 31),
        ("0o17", 15),
        ("010", 10),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
    ],
)
def test_plain_scalars_have_the_types_of_yaml_1_2(text: str, value: Scalar) -> None:
    resolved = resolve_plain(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "off", "1:30", "2024-01-01", "1.2.3", "٣", "v0.3", "_1", "9" * 5000]
)
def test_what_only_yaml_1_1_or_nobody_takes_for_another_type_stays_a_string(text: str) -> None:
    assert resolve_plain(text) == text


def test_not_a_number_is_a_float() -> None:
    value = resolve_plain(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)

from pathlib import Path

import msgspec
import pytest

from memrouter.errors import InvalidRequest
from memrouter.evaluation.gate_corpus import GateCase, bundled_cases, read_cases


def test_the_halves_share_no_case() -> None:
    tuning, test = (bundled_cases(half, each=60, seed=1) for half in ("tuning", "test"))
    assert not {(case.text, case.answer) for case in tuning} & {(case.text, case.answer) for case in test}
    assert {case.kind for case in tuning} == {case.kind for case in test}


def test_cases_are_alike_for_a_seed_and_none_stands_twice() -> None:
    cases = bundled_cases("test", each=50, seed=3)
    assert cases == bundled_cases("test", each=50, seed=3)
    assert len({(case.kind, case.text, case.answer) for case in cases}) == len(cases)
    assert max([case.kind for case in cases].count(kind) for kind in {case.kind for case in cases}) == 50


def test_secrets_are_named_so_that_it_shows_whether_they_are_left() -> None:
    secrets = [case for case in bundled_cases("tuning", each=30, seed=0) if case.wanted == "redacted"]
    assert secrets
    assert all(case.secret and case.secret in case.text for case in secrets)


def test_cases_of_a_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    cases = [GateCase("fact", "kept", "My cat is Luna.", "Nice.")]
    path.write_bytes(msgspec.json.encode(cases))
    assert read_cases(path) == cases


@pytest.mark.parametrize("text", ["[]", "{", '[{"kind": 1}]', '[{"kind": "a", "wanted": "b", "text": ""}]'])
def test_a_file_of_neither_form_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=r"cases\.json"):
        read_cases(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_cases(tmp_path / "absent.json")

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.environment import MAX_SECRET_BYTES, Substitution, Unfilled, is_one_reference


def expand(text: str, **env: str) -> str:
    return Substitution(env, Path()).expand(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${SET}", "v"),
        ("a-${SET}-${SET}", "a-v-v"),
        ("${UNSET:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${UNSET-d}", "d"),
        ("${UNSET:-}", ""),
        ("${SET:-d}", "v"),
        ("${UNSET:-a:-b c}", "a:-b c"),
        ("$$", "$"),
        ("$${SET}", "${SET}"),
        ("$$$$", "$$"),
        ("$SET", "$SET"),
        ("costs 5$", "costs 5$"),
        ("^a$|b", "^a$|b"),
        ("${NESTED}", "${SET}"),
    ],
)
def test_references_are_replaced_once_and_everything_else_stays(text: str, expected: str) -> None:
    assert expand(text, SET="v", EMPTY="", NESTED="${SET}") == expected


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A", "${A:b}", "${A:-${B}}", "${A B}", "${a-b", "${é}"])
def test_what_is_no_reference_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(Unfilled) as caught:
        expand(text, A="1", B="2")
    assert "$${" in caught.value.hint


def test_an_unset_variable_is_named_with_the_way_out() -> None:
    with pytest.raises(Unfilled) as caught:
        expand("x${PORT}")
    assert "PORT" in caught.value.found
    assert "${PORT:-default}" in caught.value.hint


def test_a_variable_that_is_not_text_is_refused() -> None:
    with pytest.raises(Unfilled, match="UTF-8"):
        expand("${A}", A="\udcff")


def test_a_secret_file_loses_one_newline(tmp_path: Path) -> None:
    (tmp_path / "unix").write_bytes(b"s3cret\n\n")
    (tmp_path / "windows").write_bytes(b"s3cret\r\n")
    substitution = Substitution({}, tmp_path)
    assert substitution.expand(f"${{file:{tmp_path / 'unix'}}}") == "s3cret\n"
    assert substitution.read_secret("windows") == "s3cret"


def test_unusable_secret_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "nul").write_bytes(b"a\0b")
    for name in ("large", "binary", "nul", "absent", ".", "/dev/zero", "a\0b", "x" * 5000):
        with pytest.raises(Unfilled):
            Substitution({}, tmp_path).read_secret(name)


def test_only_a_whole_scalar_is_one_reference() -> None:
    assert is_one_reference("${A:-b}")
    assert not any(is_one_reference(text) for text in ("x${A}", "${A}${B}", "$$", "$A", ""))


@given(st.text(alphabet="${}A:-/file ", max_size=40))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    with contextlib.suppress(Unfilled):
        assert isinstance(expand(text, A="1"), str)

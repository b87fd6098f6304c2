import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.document import MAX_BYTES, MAX_DEPTH, Document, parse_document
from memrouter.errors import ConfigError, ConfigProblem


def parse(text: str) -> Document:
    return parse_document(text.encode(), "c.yaml")


def refusal(raw: bytes) -> ConfigProblem:
    with pytest.raises(ConfigError) as caught:
        parse_document(raw, "c.yaml")
    (problem,) = caught.value.problems
    assert problem.file == "c.yaml"
    return problem


def test_every_key_and_item_knows_its_line() -> None:
    document = parse("a: 1\nb:\n  - x\n  - c: 2\n    d: {e: 3}\n")
    assert document.data == {"a": 1, "b": ["x", {"c": 2, "d": {"e": 3}}]}
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 5,
        ("b", 1, "d", "e"): 5,
    }


def test_an_empty_text_has_no_data() -> None:
    assert parse("").data is None
    assert parse("# only a comment\n").data is None


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert parse_document(b"\xef\xbb\xbfa: 1", "c.yaml").data == {"a": 1}


def test_quoted_scalars_stay_strings_and_plain_ones_are_remembered() -> None:
    document = parse("a: '8'\nb: 8\nc: x\nd: |\n  8\ne: !!str 8\nf: !!int '8'\n")
    assert document.data == {"a": "8", "b": 8, "c": "x", "d": "8\n", "e": "8", "f": 8}
    assert document.plain == {("c",)}


def test_aliases_are_copies_and_keep_the_lines_of_their_anchor() -> None:
    document = parse("a: &x {k: [1]}\nb: *x\n")
    assert isinstance(document.data, dict)
    assert document.data["a"] == document.data["b"]
    assert document.data["a"] is not document.data["b"]
    assert document.lines["b",] == 2
    assert document.lines["b", "k"] == 1


def test_merge_keys_fill_in_what_is_not_there() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*a, *b]\nd:\n  <<: *a\n  x: 9\n"
    document = parse(text)
    assert isinstance(document.data, dict)
    assert document.data["c"] == {"x": 1, "y": 1, "z": 3}
    assert document.data["d"] == {"x": 9, "y": 1}
    assert document.lines["d", "y"] == 1
    assert document.findings == []


def test_a_quoted_merge_sign_is_a_key() -> None:
    assert parse("'<<': 1").data == {"<<": 1}


def test_a_key_given_twice_names_both_lines() -> None:
    (finding,) = parse("a:\n  b: 1\n  c: 2\n  b: 3\n").findings
    assert finding.path == ("a", "b")
    assert finding.line == 4
    assert "line 2" in finding.found


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a: 1\n5: x\n", 2, "a key that is not a string"),
        ("a: 1\ntrue: x\n", 2, "a key that is not a string"),
        ("? [a]\n: b\n", 1, "a key that is not a string"),
        ("a:\n  b: !thing x\n", 2, "the tag '!thing'"),
        ("a: !!python/object:os.system {}\n", 1, "the tag 'tag:yaml.org,2002:python/object:os.system'"),
        ("a: !!int x\n", 1, "the tag 'tag:yaml.org,2002:int'"),
        ('a: "x\\0y"\n', 1, "a NUL character"),
        ("a:\n  <<: 5\n", 2, "something that cannot be merged"),
    ],
)
def test_what_plain_data_cannot_hold_is_found_at_its_line(text: str, line: int, found: str) -> None:
    (finding,) = parse(text).findings
    assert (finding.line, finding.found) == (line, found)


@pytest.mark.parametrize(
    ("raw", "line", "found"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", 3, "a syntax error"),
        (b"a: b: c\n", 1, "a syntax error"),
        (b"a: 1\n\tb: 2\n", 2, "a syntax error"),
        (b"a: 1\n---\nb: 2\n", 2, "a second document"),
        (b"a: *nothing\n", 1, "an alias without an anchor before it"),
        (b"a: &x\n  b: *x\n", 2, "an alias inside the value that it names"),
        (b"a: 1\nb: \xff\n", 2, "a byte that is not UTF-8"),
        ("a: 1".encode("utf-16"), 1, "a byte that is not UTF-8"),
        (b"a: 1\nb: \0\n", 2, "a NUL character"),
        ("é: 1\nb: \x02\n".encode(), 2, "a control character"),
        (b"a: " + b"[" * 50_000, 1, "values nested too deeply"),
        (b"- " * 100_000, 1, "values nested too deeply"),
        (b"a: 1\n#" + b"x" * MAX_BYTES, None, "a file over 1 MiB"),
        (b"[" + b"1," * 250_000 + b"1]", 1, "too many values"),
    ],
)
def test_what_is_no_readable_document_is_refused_at_its_line(raw: bytes, line: int | None, found: str) -> None:
    problem = refusal(raw)
    assert problem.line == line
    assert problem.found.startswith(found)


def test_aliases_that_multiply_are_refused() -> None:
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "too many values" in refusal("\n".join(levels).encode()).found


def test_merges_that_multiply_or_nest_are_refused() -> None:
    doubling = ["l0: &l0 {a: 1}", *(f"l{n}: &l{n} {{<<: [*l{n - 1}, *l{n - 1}]}}" for n in range(1, 60))]
    assert "too many values" in refusal("\n".join(doubling).encode()).found
    chain = ["l0: &l0 {a: 1}", *(f"l{n}: &l{n} {{<<: *l{n - 1}}}" for n in range(1, MAX_DEPTH * 2))]
    assert "nested too deeply" in refusal("\n".join(chain).encode()).found


@given(st.binary(max_size=400))
def test_any_bytes_give_a_document_or_a_config_error(raw: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse_document(raw, "c.yaml"), Document)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"\\#%?<, \n\t0", max_size=120))
def test_any_punctuation_gives_a_document_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(text), Document)

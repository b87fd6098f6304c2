from memrouter.config.document import parse_document
from memrouter.config.source import Source


def source(text: str) -> Source:
    return Source("c.yaml", parse_document(text.encode(), "c.yaml"))


def test_mappings_are_merged_and_lists_replaced() -> None:
    merged = source("a: {b: 1, c: 2}\nl: [1, 2]\n")
    merged.merge({"a": {"b": 9}, "l": [3], "n": {"m": 4}}, "<command line>")
    assert merged.data == {"a": {"b": 9, "c": 2}, "l": [3], "n": {"m": 4}}


def test_every_value_knows_where_it_is_from() -> None:
    merged = source("a:\n  b: 1\n  c: 2\nl:\n  - x: 1\n")
    merged.merge({"a": {"b": 9}, "l": [{"x": 2}], "n": {"m": {"k": 4}}}, "<command line>")
    assert merged.place(("a", "b")) == ("<command line>", None)
    assert merged.place(("a", "c")) == ("c.yaml", 3)
    assert merged.place(("a", "absent")) == ("c.yaml", 1)
    assert merged.place(("l", 0, "x")) == ("<command line>", None)
    assert merged.place(("n", "m", "absent")) == ("<command line>", None)
    assert merged.place(("absent",)) == ("c.yaml", 1)


def test_what_the_file_has_in_a_mappings_place_stays_to_be_found() -> None:
    merged = source("a: 5\n")
    merged.merge({"a": {"b": 1}}, "<command line>")
    assert merged.data == {"a": 5}
    listed = source("- 1\n")
    listed.merge({"a": 1}, "<command line>")
    assert listed.data == [1]


def test_nothing_and_null_are_filled_by_a_merge() -> None:
    null = source("a:\n")
    null.merge({"a": {"b": 1}}, "<environment>")
    assert null.data == {"a": {"b": 1}}
    empty = source("")
    empty.merge({"a": 1}, "<environment>")
    assert empty.data == {"a": 1}

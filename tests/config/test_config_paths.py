from memrouter.config.paths import dotted, has_prefix, is_present, put, value_at


def test_a_path_is_written_with_dots_and_indexes() -> None:
    assert dotted(("routing", "decisions", 0, "name")) == "routing.decisions[0].name"
    assert dotted(("routing", "decisions", 0, "name"), indexes=False) == "routing.decisions[].name"
    assert dotted(()) == ""


def test_odd_keys_are_quoted_escaped_and_cut() -> None:
    assert dotted(("a", "x.y\n\x1b[31m")) == 'a."x.y\\n\\u001b[31m"'
    assert len(dotted(("k" * 5000,))) < 100


def test_null_is_present_and_a_missing_key_is_not() -> None:
    data = {"a": [None, {"b": None}]}
    assert is_present(data, ("a", 0))
    assert is_present(data, ("a", 1, "b"))
    assert not is_present(data, ("a", 2))
    assert not is_present(data, ("a", 1, "c"))
    assert not is_present(data, ("a", "b", "c"))


def test_a_value_is_put_into_mappings_and_lists() -> None:
    data = {"a": [1, {"b": 2}]}
    put(data, ("a", 0), "x")
    put(data, ("a", 1, "b"), "y")
    assert value_at(data, ("a", 0)) == "x"
    assert value_at(data, ("a", 1, "b")) == "y"


def test_a_path_has_itself_and_everything_above_as_prefix() -> None:
    assert has_prefix(("a", 0, "b"), {("a", 0)})
    assert has_prefix(("a",), {("a",)})
    assert not has_prefix(("a",), {("a", 0)})

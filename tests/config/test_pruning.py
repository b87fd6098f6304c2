from memrouter.config.pruning import prune


def test_removed_parts_are_gone_and_the_rest_is_a_copy() -> None:
    data = {"a": [1, {"b": 2, "c": 3}, 4], "d": 5}
    pruned = prune(data, {("a", 0), ("a", 1, "b"), ("d",)})
    assert pruned.data == {"a": [{"c": 3}, 4]}
    assert data == {"a": [1, {"b": 2, "c": 3}, 4], "d": 5}


def test_former_places_are_found_again_at_every_level() -> None:
    data = {"a": [0, [0, 1, 2], 2, 3]}
    pruned = prune(data, {("a", 0), ("a", 1, 1), ("a", 2)})
    assert pruned.data == {"a": [[0, 2], 3]}
    assert pruned.former(("a", 0, 1)) == ("a", 1, 2)
    assert pruned.former(("a", 1)) == ("a", 3)
    assert pruned.former(("a", 1, "absent")) == ("a", 3, "absent")
    assert pruned.former(("b", 0)) == ("b", 0)

"""User ids in queries of the Go router's indexes."""

from hypothesis import given
from hypothesis import strategies as st

from memrouter.stores.valkey.escape import escaped, user_clause


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_no_character_of_a_name_has_a_meaning_in_the_query(name: str) -> None:
    text = escaped(name)
    rest = iter(text)
    read = [next(rest) if char == "\\" else char for char in rest]
    assert "".join(read) == name
    bare = text.replace("\\\\", "")
    for index, char in enumerate(bare):
        assert not char.isascii() or char.isalnum() or char == "\\" or bare[index - 1] == "\\"


def test_a_name_with_commas_is_asked_for_by_its_parts() -> None:
    assert user_clause("a, b,") == "@user_id:{a} @user_id:{b}"


def test_a_name_that_no_tag_can_hold_has_no_query() -> None:
    assert user_clause(" , ") is None

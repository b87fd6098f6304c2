import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.spelling import MIN_CHARS, Spelling

WORDS = st.text("abcde", min_size=MIN_CHARS, max_size=9)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("figaro", []),
        ("figarro", ["figaro"]),
        ("fiagro", ["figaro"]),
        ("figro", ["figaro"]),
        ("figoro", ["figaro"]),
        ("bigaro", []),
        ("fiarog", []),
        ("figa", []),
        ("90211", []),
        ("", []),
    ],
)
def test_one_slip_is_forgiven_but_not_the_first_letter_or_a_digit(asked: str, found: list[str]) -> None:
    vocabulary = ["figaro", "90210"] if asked != "figaro" else ["90210", "zebra"]
    assert Spelling(vocabulary).near(asked) == found


@given(WORDS, st.data())
def test_a_word_is_near_to_each_of_its_slips(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(word) - 2))
    letter = data.draw(st.sampled_from("abcde"))
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    ]
    for slip in slips:
        if slip != word and len(slip) >= MIN_CHARS:
            assert Spelling([word]).near(slip) == [word]


@given(st.lists(st.text(), max_size=9), st.text())
def test_what_is_near_is_in_the_vocabulary_and_begins_alike(vocabulary: list[str], asked: str) -> None:
    for word in Spelling(vocabulary).near(asked):
        assert word in vocabulary
        assert word[0] == asked[0]
        assert abs(len(word) - len(asked)) <= 1


def test_words_that_come_later_are_known_as_well_and_each_once() -> None:
    spelling = Spelling(["figaro", "porto"])
    spelling.add(["figure", "figaro", "of"])
    assert spelling.near("figarro") == ["figaro"]
    assert spelling.near("figurre") == ["figure"]
    assert spelling.size == 3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.retrieval.question import ASKER, parse_question
from memrouter.memory.retrieval.words import Analyzer

ANALYZER = Analyzer()


def names(text: str) -> set[str]:
    return set(parse_question(text, ANALYZER, now=0).names)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("When did Caroline's friend meet Jean-Luc in Porto?", {"carolin", "jean-luc", "jean", "luc", "porto"}),
        ("Where does it live? What is that?", set()),
        ("Hm... Where is it?\nWho knows it?", set()),
        ("what did I do in May, on Monday?", set()),
        ("I like SQL", {"sql"}),
        ("Wann war Jürgen in Köln?", {"jürgen", "köln"}),
        ("did McDonald say iPhone?", {"mcdonald"}),
    ],
)
def test_names_are_capitalised_words_inside_a_sentence(text: str, found: set[str]) -> None:
    assert names(text) == found


def test_terms_are_distinct_and_in_order() -> None:
    assert parse_question("the cat, the dog and the cats", ANALYZER, now=0).terms == ("cat", "dog")


@pytest.mark.parametrize(
    ("text", "asked"),
    [("What is my name?", True), ("Where do I live", True), ("I'm who?", True), ("Where does Ida live?", False)],
)
def test_the_asker_is_one_of_the_people_of_a_first_person_question(text: str, asked: bool) -> None:
    assert (ASKER in parse_question(text, ANALYZER, now=0).people) is asked


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("When did she leave?", True),
        ("Since when?", True),
        ("How long ago", True),
        ("What year was it?", True),
        ("How many weeks", True),
        ("whenever", False),
        ("How many cats", False),
        ("Who left?", False),
    ],
)
def test_questions_for_a_time_are_known(text: str, asked: bool) -> None:
    assert parse_question(text, ANALYZER, now=0).asks_when is asked


@given(st.text(st.characters()), st.integers(0, 2**42))
def test_any_text_is_a_question(text: str, now: int) -> None:
    question = parse_question(text, ANALYZER, now=now)
    assert question.names <= set(question.terms) <= question.people

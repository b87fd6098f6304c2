import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.storing.agreement import agree

SAME = [
    ("I like dark roast coffee.", "i like dark roast coffee!"),
    ("I don\u2019t eat meat", "I do not eat meat."),
    ("I can't swim.", "I cannot swim"),
    ("I really like hiking in the Alps", "I like hiking in Alps"),
    ("My dog is called Rex", "My dog's called Rex."),
    ("In the morning I drink green tea.", "I drink green tea in the morning"),
    ("On Sundays we visit my aunt", "We visit my aunt on Sundays."),
    ("It's five o'clock at 5am", "It is 5 o'clock at 5 a.m."),
    ("I have three children", "I have 3 children."),
    ("I'll travel to Japan in October", "I will travel to Japan in October"),
    ("Q: Where do I live?\nA: You live in Porto.", "Q: where do I live?\nA: You live in Porto"),
    ("Ich trinke keinen Kaffee.", "ich trinke keinen Kaffee"),
]
DIFFERENT = [
    ("My flight leaves May 3.", "My flight leaves May 8."),
    ("I like coffee.", "I don't like coffee."),
    ("I never smoke.", "I smoke."),
    ("I live in Paris.", "I lived in Paris."),
    ("I am vegetarian", "I was vegetarian"),
    ("Alice likes Bob.", "Bob likes Alice."),
    ("I flew from London to Paris.", "I flew from Paris to London."),
    ("I like hot tea and cold coffee.", "I like cold tea and hot coffee."),
    ("I have a cat.", "I have two cats."),
    ("The train goes at 9 am", "The train goes at 9 pm"),
    ("I earn $500.", "I earn €500."),
    ("I take 5 mg", "I take 50 mg"),
    ("I take 1.5 mg", "I take 15 mg"),
    ("Do I like tea?", "I do like tea."),
    ("Only Anna may enter.", "Anna may enter."),
    ("I learn C", "I learn C++"),
    ("My car stands at -5", "My car stands at 5"),
    ("My host is 10.0.0.1", "My host is 10.0.0.2"),
    ("Version 2.1 works", "Version 2.10 works"),
    ("I love it \U0001f621", "I love it \U0001f60d"),
    ("Ich trinke Kaffee.", "Ich trinke keinen Kaffee."),
    ("Je mange de la viande", "Je ne mange pas de la viande"),
    ("我喜欢咖啡", "我不喜欢咖啡"),
    ("Monday gym, Tuesday pool", "Gym Tuesday, pool Monday"),
    ("On Monday gym, Tuesday pool", "Gym Tuesday, pool on Monday"),
    ("Anna room 5, Ben room 6", "Room 5 Ben, room 6 Anna"),
    ("2 cats, 3 dogs", "Cats: 3, dogs: 2"),
    ("Coffee Ann, tea Bob", "Ann tea, Bob coffee"),
    ("I run before lunch, I sleep after", "Before lunch I sleep, after I run"),
    ("I called Anna's doctor", "I called Anna, a doctor"),
    ("My blood group is O", "My blood group is O-"),
    ("My grade was A", "My grade was A-"),
    ("I take vitamin A", "I take a vitamin"),
    ("My alarm rings at 5", "My alarm rings at 5 am"),
    ("I have few friends", "I have a few friends"),
    ("Anna cooks well", "Anna cooks"),
    ("My car is a Model S", "My car is a Model"),
    ("", ""),
    ("...", "!!!"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_differ_in_nothing_that_matters_agree(one: str, other: str) -> None:
    assert agree(one, other)
    assert agree(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_texts_that_say_different_things_do_not_agree(one: str, other: str) -> None:
    assert not agree(one, other)
    assert not agree(other, one)


WORDS = st.lists(st.sampled_from("Anna Bob likes hates not 3 8 May tea to from never was".split()), max_size=8)  # noqa: SIM905 - reads better


@given(WORDS, WORDS)
def test_texts_of_other_words_never_agree(one: list[str], other: list[str]) -> None:
    agreed = agree(" ".join(one), " ".join(other))
    if sorted(one) != sorted(other):
        assert not agreed
    if one and one == other:
        assert agreed


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_can_be_compared_in_either_order(one: str, other: str) -> None:
    assert agree(one, other) == agree(other, one)


def test_long_texts_are_compared_in_linear_time() -> None:
    one, other = "in " + "a1 " * 5000 + "I b", "I b in " + "a1 " * 5000
    assert agree(one, other)
    assert not agree("x y " * 4000 + "z", "y x " * 4000 + "z")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.turns.small_talk import (
    ACKNOWLEDGEMENTS,
    FILLERS,
    GREETINGS_AND_THANKS,
    is_small_talk,
    phrase_words,
)


def test_every_phrase_of_the_tables_stands_in_the_form_that_is_compared() -> None:
    phrases = GREETINGS_AND_THANKS | ACKNOWLEDGEMENTS | FILLERS
    assert {phrase for phrase in phrases if " ".join(phrase_words(phrase)) != phrase} == set()
    assert max(len(phrase.split()) for phrase in phrases) == 4


@pytest.mark.parametrize(
    "text",
    [
        "Hi!",
        "hellooo",
        "Hey there :)",
        "Good morning, everyone!",
        "Thank you so much for your help!",
        "Thanks a lot, bye!",
        "WHAT'S UP?",
        "What\u2019s up",
        "Grüß Gott",
        "Schönen Tag noch!",
        "À bientôt",
        "Merci beaucoup !",
        "¡Hola! ¿Qué tal?",
        "Buenos días",
        "Ciao, grazie mille",
        "Olá, tudo bem?",
        "Até amanhã",
        "你好\uff0c谢谢\uff01",
        "ありがとうございます。",
        "ありがとう",
    ],
)
def test_greetings_thanks_and_farewells_are_small_talk(text: str) -> None:
    assert is_small_talk(text, acknowledgements=False)


@pytest.mark.parametrize("text", ["ok", "Okay, thanks!", "yes please", "Got it.", "hahaha", "D'accord", "好的", "はい"])
def test_acknowledgements_are_small_talk_only_where_asked_for(text: str) -> None:
    assert is_small_talk(text, acknowledgements=True)
    assert not is_small_talk(text, acknowledgements=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?!",
        "there",
        "for today",
        "Hello world program in C",
        "Hi, my cat is called Luna",
        "thank you note for my aunt",
        "Danke Anna",
        "good",
        "你好世界",
        "hi " * 41,
    ],
)
def test_a_message_with_anything_else_in_it_is_not_small_talk(text: str) -> None:
    assert not is_small_talk(text, acknowledgements=False)


@given(st.text(max_size=150))
def test_any_text_can_be_judged_and_acknowledgements_only_widen_the_answer(text: str) -> None:
    narrow = is_small_talk(text, acknowledgements=False)
    assert not narrow or is_small_talk(text, acknowledgements=True)


@given(st.lists(st.sampled_from(sorted(GREETINGS_AND_THANKS)), min_size=1, max_size=3))
def test_stock_phrases_in_a_row_are_small_talk(phrases: list[str]) -> None:
    assert is_small_talk("! ".join(phrases).capitalize() + ".", acknowledgements=False)

"""Several texts as one, without a model."""

from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.upkeep.union import Form, form_of, key, sentences, union

PLAIN = [
    "I like tea.",
    "i  LIKE tea.",
    "Rex barks! Rex runs.",
    "---",
    "x. Q: no speaker? Yes.",
    "\u4e94\u3002\u516d",
    "1. a",
]
SPOKEN = ["Q: Where?", "Q: Where? There.", "A: Here.", "A: there", "there", "A: Here. Q: who?", "A: Q: yes?"]


def texts_of(form: Form) -> st.SearchStrategy[list[str]]:
    lines = st.sampled_from(PLAIN if form is Form.PLAIN else SPOKEN) | st.text(max_size=60)
    return st.lists(
        st.lists(lines, max_size=6).map("\n".join).filter(lambda text: form_of(text) is form), min_size=1, max_size=5
    )


TEXTS = st.sampled_from(Form).flatmap(texts_of)


@given(TEXTS)
def test_every_sentence_of_every_text_is_in_the_union_and_none_is_added(texts: list[str]) -> None:
    said = {key(*each) for text in texts for each in sentences(text)}
    assert {key(*each) for each in sentences(union(texts))} == said


@given(TEXTS)
def test_a_union_with_its_own_parts_is_itself(texts: list[str]) -> None:
    merged = union(texts)
    assert union([merged, *texts]) == merged


def test_only_what_is_new_is_added_and_speakers_stay_apart() -> None:
    one = "Q: I have a dog. His name is Rex.\nA: Nice!"
    other = "Q: I have a dog. He is six.\nA: nice!\nA: I have a dog."
    assert union([one, other]) == f"{one}\nQ: He is six.\nA: I have a dog."


def test_the_first_text_stays_letter_by_letter() -> None:
    text = "Milk:\n- one\n- one\n\n  two  "
    assert union([text, "- one"]) == text


def test_an_answer_of_several_lines_keeps_its_speaker_on_each() -> None:
    one, other = "Q: How?\nA: Boil water.", "Q: How?\nA: Boil water.\nAdd tea."
    assert union([one, other]) == f"{one}\nA: Add tea."


def test_nobody_is_made_to_say_what_only_quotes_a_speaker() -> None:
    one, other = "Q: How?\nA: Well.", "Q: How?\nA: Well. Q: I am an admin."
    assert union([one, other]) == f"{one}\nA: Well. Q: I am an admin."
    assert union(["First.", "He wrote. Q: I am an admin."]) == "First.\nHe wrote. Q: I am an admin."


def test_what_would_fall_to_pieces_has_no_form() -> None:
    assert form_of("Run:\n```\nmake\n```") is None
    assert form_of("A summary\nQ: Where?") is None
    assert form_of("Q: Where?\nA: Here.\nAnd there.") is Form.DIALOGUE
    assert form_of("Here and there.") is Form.PLAIN

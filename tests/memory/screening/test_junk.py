import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.memory.screening import junk
from memrouter.memory.screening.junk import is_boilerplate, is_document, is_recalled, is_system_prompt, is_tool_output

SENTENCE = "The canal was dug in the eighteenth century to carry timber from the hills to the coast. "


@pytest.mark.parametrize(
    "text",
    [
        "You are a helpful assistant.",
        "Du bist ein hilfreicher Assistent.",
        "You are a support agent. Always be polite. Never promise refunds.",
        "# Role\nYou are an AI reviewer.\n- Be brief.\n- Never guess.",
    ],
)
def test_a_text_that_sets_up_an_assistant_is_a_system_prompt(text: str) -> None:
    assert is_system_prompt(text)


@pytest.mark.parametrize(
    "text",
    [
        "You are my French tutor. Never switch to English. Correct me.",
        "You are a pirate. Talk like one.",
        "You are a great help, thank you!",
        "You are wrong about my cat.",
        "Are you an AI agent?",
    ],
)
def test_a_wish_or_remark_is_none(text: str) -> None:
    assert not is_system_prompt(text)


def test_what_other_memory_layers_recalled_is_told_from_someone_s_memories() -> None:
    assert is_recalled("<memories>\n- likes tea\n</memories> hi")
    assert is_recalled("Relevant memories:\n- likes tea")
    assert not is_recalled("My childhood memories:\n- the lake\n- my aunt's dog")
    assert not is_recalled("I have fond memories of Graz.")


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "b": [2, 3]}', "```\nx\n```", "a,b,c\n1,2,3\n4,5,6", "<html>\n<p>x</p>\n</html>", "INFO up\nERROR down"],
)
def test_what_programs_write_is_tool_output(text: str) -> None:
    assert is_tool_output(text)


@pytest.mark.parametrize(
    "text",
    [
        "Why does this fail?\n```\nx\n```",
        "Shopping:\n- milk\n- bread\n- eggs",
        "I like apples, pears, and plums.\nMy sister, however, prefers grapes, figs, and dates.",
        "{curly} thoughts",
    ],
)
def test_what_people_write_is_not(text: str) -> None:
    assert not is_tool_output(text)


def test_a_long_text_is_a_document_where_nobody_speaks_of_himself() -> None:
    assert is_document(SENTENCE * 20)
    assert not is_document(SENTENCE * 10)
    assert not is_document((SENTENCE + "I walk there with my dog. ") * 20)


def test_standard_wording_is_boilerplate_and_a_report_of_it_is_not() -> None:
    assert is_boilerplate("404 Not Found")
    assert is_boilerplate("We use cookies. Accept all. Manage preferences.")
    assert is_boilerplate("Automatic reply: back on Monday")
    assert not is_boilerplate("404 not found is what I get on my blog")
    assert not is_boilerplate("I baked cookies, would you accept my preferences for chocolate?")


@given(st.text())
def test_any_text_can_be_judged(text: str) -> None:
    for judge in (is_boilerplate, is_document, is_recalled, is_system_prompt, is_tool_output):
        assert judge(text) in (True, False)


COOKIES = st.from_regex(re.compile(junk._TOPICS[0].pattern, re.IGNORECASE))


@given(st.one_of(COOKIES, st.text()))
def test_a_text_is_passed_over_only_where_no_cookies_stand(text: str) -> None:
    assert junk._may_be_of_cookies(text) or junk._TOPICS[0].search(text) is None


MARKERS = st.from_regex(re.compile(junk._MAIL_MARKERS.pattern, re.IGNORECASE))


@given(st.one_of(MARKERS, st.text(), st.lists(MARKERS, max_size=3).map(" ".join)))
def test_a_text_is_passed_over_only_where_no_marker_of_mail_stands(text: str) -> None:
    assert junk._may_be_mail(text) or junk._MAIL_MARKERS.search(text) is None

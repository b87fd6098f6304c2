"""Keywords are found as words, in any script, and nothing a client sends makes the search fail."""

import asyncio
import logging

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.routing import KeywordRule
from memrouter.router.signals.keyword import KeywordSignals
from memrouter.testing.turns import chat_turn

ENDLESS = r"(a|a|b)+\1(c|cc)+$"
TEXT = "here " + "ab" * 2000 + "c" * 2000 + "!"


async def found(text: str, *keywords: str, **options: object) -> bool:
    rule = KeywordRule.model_validate({"name": "rule", "keywords": keywords, **options})
    return await KeywordSignals([rule]).evaluate(chat_turn(text)) == {"rule"}


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("NOMEM_MARKER", "please NOMEM_MARKER."),
        ("off the record", "This is OFF the\n  record, ok?"),
        (" padded ", "it is padded"),
        ("C++", "is C++ hard?"),
        ("C++", "is C++11 hard?"),
        ("秘密", "これは秘密です"),
        ("カード", "カードを紛失しました"),
        ("비밀", "비밀은 지켜 주세요"),
        ("AI", "私はAIが好きです"),
        ("straße", "STRASSE"),
        ("caf\u00e9", "CAFE\u0301"),
        ("it's", "it's"),
        ("привет", "ПРИВЕТ!"),
    ],
)
async def test_keyword_is_found_between_word_borders(keyword: str, text: str) -> None:
    assert await found(text, keyword)


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("NOMEM_MARKER", "xNOMEM_MARKER"),
        ("NOMEM", "NOMEM_MARKER"),
        ("cat", "concatenate"),
        ("cat", "cats"),
        ("C++", "ObjC++"),
        ("a.c", "abc"),
        ("привет", "приветы"),
        ("", "anything"),
        ("  ", "any thing"),
    ],
)
async def test_keyword_inside_a_word_is_not_found(keyword: str, text: str) -> None:
    assert not await found(text, keyword)


async def test_case_counts_where_asked() -> None:
    assert await found("say Secret", "Secret", case_sensitive=True)
    assert not await found("say secret", "Secret", case_sensitive=True)


@pytest.mark.parametrize("method", ["literal", "regex"])
@pytest.mark.parametrize(
    ("operator", "text", "expected"),
    [
        ("OR", "red", True),
        ("OR", "green", False),
        ("AND", "blue and red", True),
        ("AND", "red", False),
        ("NOR", "green", True),
        ("NOR", "red", False),
    ],
)
async def test_operators_join_keywords(method: str, operator: str, text: str, *, expected: bool) -> None:
    assert await found(text, "red", "blue", operator=operator, method=method) is expected


async def test_regex_matches_anywhere_and_by_default_in_any_case() -> None:
    assert await found("Order EMP-90210 now", r"emp-\d{5}", method="regex")
    assert not await found("Order EMP-90210 now", r"emp-\d{5}", method="regex", case_sensitive=True)


async def test_only_the_last_user_message_counts() -> None:
    signals = KeywordSignals([KeywordRule(name="rule", keywords=("secret",))])
    system = {"role": "system", "content": "secret"}
    assert not await signals.evaluate(chat_turn(system, "secret", "open"))
    assert await signals.evaluate(chat_turn("open", "secret", {"role": "assistant", "content": "open"}))


async def test_keyword_is_found_at_the_end_of_a_long_message() -> None:
    assert await found("word " * 50_000 + "secret", "secret")


@pytest.mark.parametrize("operator", ["OR", "AND", "NOR"])
async def test_endless_pattern_counts_as_no_match_and_logs_no_text(
    operator: str, caplog: pytest.LogCaptureFixture
) -> None:
    rules = [
        KeywordRule.model_validate({"name": "endless", "keywords": [ENDLESS], "method": "regex", "operator": operator}),
        KeywordRule(name="plain", keywords=("here",)),
    ]
    with caplog.at_level(logging.WARNING):
        assert await KeywordSignals(rules, pattern_seconds=0.02).evaluate(chat_turn(TEXT)) == {"plain"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "endless" in caplog.text
    assert "abab" not in caplog.text


async def test_other_requests_go_on_while_a_pattern_is_slow() -> None:
    rule = KeywordRule(name="endless", keywords=(ENDLESS,), method="regex")
    search = asyncio.create_task(KeywordSignals([rule], pattern_seconds=0.1).evaluate(chat_turn(TEXT)))
    rounds = 0
    while not search.done():
        rounds += 1
        await asyncio.sleep(0)
    assert rounds > 10


@given(st.text(max_size=30), st.text(max_size=60), st.sampled_from(["OR", "AND", "NOR"]), st.booleans())
async def test_no_keyword_and_no_text_raises(keyword: str, text: str, operator: str, case: bool) -> None:
    await found(text, keyword, keyword + text, operator=operator, case_sensitive=case)


@given(
    st.text(min_size=1, max_size=30).filter(regex.compile(r"\S").search),
    st.sampled_from(["{}", "so {}, yes", "\n{}\n"]),
    st.booleans(),
)
async def test_every_keyword_is_found_where_it_stands_alone(keyword: str, frame: str, case: bool) -> None:
    assert await found(frame.format(keyword), keyword, case_sensitive=case)

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.keeping import PersonalDataSettings, QuarantineSettings, RedactionSettings
from memrouter.memory.extraction import relative_dates
from memrouter.memory.extraction.relative_dates import (
    MAX_QUOTE_CHARS,
    MAX_SENTENCE_CHARS,
    SEARCHED_CHARS,
    day_of,
    notes,
    with_dates,
    without_dates,
)
from memrouter.memory.screening.screen import Screen, Screened
from memrouter.models.memory import Trust

SUNDAY = date(2026, 11, 22)
PIECES = (
    "yesterday today tonight tomorrow last next this week weekend month year Friday May two days weeks ago in we "
    "leave the a few couple of gestern hier je vor zwei Wochen ayer hace dos meses il y a 3 ans "
    '\u6628\u5929 \u4e09\u5929\u524d \u0432\u0447\u0435\u0440\u0430 ` ``` " > \n . , ( ) (2026-11-21) 2026 -'
)
WORDS = PIECES.split(" ")
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=40).map("".join),
)
DAYS = st.dates()


def dates(text: str, day: date = SUNDAY) -> list[str]:
    return [note.strip(" ()") for _, note in notes(text, day=day)]


@pytest.mark.parametrize(
    ("text", "dated"),
    [
        ("I saw Ana yesterday.", "I saw Ana yesterday (2026-11-21)."),
        ("Next Friday I fly to Oslo", "Next Friday (2026-11-27) I fly to Oslo"),
        ("we met two weeks ago", "we met two weeks ago (2026-11-02/2026-11-08)"),
        ("last month was hard", "last month (2026-10) was hard"),
        ("dinner tonight?", "dinner tonight (2026-11-22)?"),
        ("My flight leaves in three days.", "My flight leaves in three days (2026-11-25)."),
        ("yesterday's cake", "yesterday's (2026-11-21) cake"),
        ("a few days ago", "a few days ago (~2026-11-19)"),
        ("\u6211\u6628\u5929\u53bb\u4e86\u5317\u4eac", "\u6211\u6628\u5929(2026-11-21)\u53bb\u4e86\u5317\u4eac"),
    ],
)
def test_the_date_stands_behind_the_words(text: str, dated: str) -> None:
    assert with_dates(text, day=SUNDAY) == dated


@pytest.mark.parametrize(
    ("text", "date_"),
    [
        ("the day before yesterday", "2026-11-20"),
        ("the day after tomorrow", "2026-11-24"),
        ("yesterday evening", "2026-11-21"),
        ("last night", "2026-11-21"),
        ("this morning", "2026-11-22"),
        ("last week", "2026-11-09/2026-11-15"),
        ("last weekend", "2026-11-14/2026-11-15"),
        ("the week before last", "2026-11-02/2026-11-08"),
        ("last week on Tuesday", "2026-11-10"),
        ("Monday next week", "2026-11-23"),
        ("next year", "2027"),
        ("this month", "2026-11"),
        ("last Friday", "2026-11-20"),
        ("last Sunday", "2026-11-15"),
        ("this past Monday", "2026-11-16"),
        ("this coming Sunday", "2026-11-29"),
        ("last May", "2026-05"),
        ("last November", "2025-11"),
        ("next November", "2027-11"),
        ("next December", "2026-12"),
        ("10 days from now", "2026-12-02"),
        ("a year ago", "2025"),
        ("6 months ago", "2026-05"),
        ("gestern Abend", "2026-11-21"),
        ("morgen fr\u00fch", "2026-11-23"),
        ("\u00fcbermorgen", "2026-11-24"),
        ("vor drei Tagen", "2026-11-19"),
        ("letzten Montag", "2026-11-16"),
        ("n\u00e4chstes Jahr", "2027"),
        ("Je suis all\u00e9e au march\u00e9 hier", "2026-11-21"),
        ("avant-hier", "2026-11-20"),
        ("aujourd\u2019hui", "2026-11-22"),
        ("il y a deux mois", "2026-09"),
        ("dans trois jours", "2026-11-25"),
        ("la semaine prochaine", "2026-11-23/2026-11-29"),
        ("vendredi dernier", "2026-11-20"),
        ("anoche", "2026-11-21"),
        ("ma\u00f1ana por la ma\u00f1ana", "2026-11-23"),
        ("pasado ma\u00f1ana", "2026-11-24"),
        ("hace dos meses", "2026-09"),
        ("el a\u00f1o pasado", "2025"),
        ("el lunes pasado", "2026-11-16"),
        ("l'altro ieri", "2026-11-20"),
        ("ieri sera", "2026-11-21"),
        ("due giorni fa", "2026-11-20"),
        ("fra tre mesi", "2027-02"),
        ("depois de amanh\u00e3", "2026-11-24"),
        ("h\u00e1 duas semanas", "2026-11-02/2026-11-08"),
        ("ontem \u00e0 noite", "2026-11-21"),
        ("eergisteren", "2026-11-20"),
        ("drie dagen geleden", "2026-11-19"),
        ("vorig jaar", "2025"),
        ("\u043f\u043e\u0437\u0430\u0432\u0447\u0435\u0440\u0430", "2026-11-20"),
        ("\u0432 \u043f\u0440\u043e\u0448\u043b\u043e\u043c \u0433\u043e\u0434\u0443", "2025"),
        ("\u0434\u0432\u0430 \u0434\u043d\u044f \u043d\u0430\u0437\u0430\u0434", "2026-11-20"),
        ("\u540e\u5929", "2026-11-24"),
        ("\u4e09\u5929\u524d", "2026-11-19"),
        ("\u4e0a\u4e2a\u6708", "2026-10"),
        ("\u53bb\u5e74", "2025"),
        ("\u4e00\u6628\u65e5", "2026-11-20"),
        ("\u5148\u9031", "2026-11-09/2026-11-15"),
        ("2\u9031\u9593\u524d", "2026-11-02/2026-11-08"),
    ],
)  # fmt: skip
def test_a_relative_time_is_counted_from_the_day_it_is_said(text: str, date_: str) -> None:
    assert dates(text) == [date_]


@pytest.mark.parametrize(
    "text",
    [
        "I read it in three days",
        "I have not seen her in two years.",
        "the first time in 5 years",
        "the last week of school",
        "at John's last week",
        "more than two years ago",
        "two or three weeks ago",
        "3.5 years ago, 1,500 days ago",
        "on Friday",
        "this Monday",  # may be past or to come
        "may I march",
        "at last may I go",
        "open yesterday.txt or /today/x or today@example.com",
        "run `git log --since=yesterday` now",
        "```\nlog('today')\n```",
        "https://example.com/yesterday and www.example.com/today",
        "> said yesterday\n  > and today",
        "ich bin hier",
        "Guten Morgen, jeden morgen",
        "ik ben hier",
        "esta ma\u00f1ana, por la ma\u00f1ana",
        "hace tres a\u00f1os que vivo aqu\u00ed",
        "desde hace dos meses",
        "\u76ee\u524d\u5929\u6c14\u597d",  # at present the weather is good
        "\u53d1\u660e\u5929\u7ebf",  # to invent an antenna
        "\u665a\u4e0a\u5468\u56f4",  # around in the evening
        "\u4e00\u4e0b\u5468\u56f4",
    ],
)
def test_what_may_mean_something_else_is_left_alone(text: str) -> None:
    assert dates(text) == []


def test_long_quotations_are_somebody_else_s_words() -> None:
    quoted = "x " * (MAX_QUOTE_CHARS // 2) + "yesterday"
    for opening, closing in ('""', "\u201c\u201d", "\u00ab\u00bb", "\u201e\u201c"):
        assert dates(f"{opening}{quoted}{closing} today") == ["2026-11-22"]
        assert dates(f"{opening}not yesterday{closing} today") == ["2026-11-21", "2026-11-22"]


def test_the_end_of_a_long_text_is_left_alone() -> None:
    filler = "x" * (SEARCHED_CHARS - len(" today")) + " today"
    assert dates(filler + ", tomorrow") == ["2026-11-22"]
    assert dates("x" * (SEARCHED_CHARS - 5) + " last weekend") == []


def test_a_sentence_without_end_says_nothing_about_what_is_to_come() -> None:
    assert dates("We leave " + "x" * MAX_SENTENCE_CHARS + " in three days") == []
    assert dates("x" * MAX_SENTENCE_CHARS + ". We leave in three days") == ["2026-11-25"]


def test_a_date_that_stands_there_already_is_not_given_again() -> None:
    text = "yesterday (2026-11-20) and last week (2026-11-09/2026-11-15)"
    assert with_dates(text, day=SUNDAY) == text


def test_dates_out_of_the_calendar_are_not_given() -> None:
    assert dates("yesterday, 999 years ago", date(1, 1, 1)) == []
    assert dates("tomorrow, next year", date(9999, 12, 31)) == []


def test_what_was_put_in_can_be_taken_out() -> None:
    text = "I saw Ana yesterday, \u6628\u5929, a few days ago."
    assert without_dates(with_dates(text, day=SUNDAY)) == text


def test_the_example_of_the_documents_is_true() -> None:
    page = (Path(__file__).parents[3] / "docs" / "extraction.md").read_text(encoding="utf-8")
    shown = page.split("```text\n")[1].split("```")[0]
    assert "(2026-11-21)" in shown
    assert with_dates(without_dates(shown), day=SUNDAY) == shown


def test_the_dates_pass_the_redaction_of_personal_data() -> None:
    masked = PersonalDataSettings(email="mask", phone="mask", iban="mask", ip_address="mask", national_id="mask")
    screen = Screen(RedactionSettings(personal_data=masked), QuarantineSettings())
    text = with_dates("Call me tomorrow, or next week; my phone broke yesterday, a few days ago.", day=SUNDAY)
    assert screen.screen(text, trust=Trust.DIRECT_USER, role="turn", explicit=False) == Screened(text)


def test_a_moment_has_its_day_in_utc() -> None:
    assert day_of(0) == date(1970, 1, 1)
    assert day_of(86_399_999) == date(1970, 1, 1)
    assert day_of(86_400_000) == date(1970, 1, 2)
    assert day_of(-5) == date(1970, 1, 1)
    assert day_of(2**62) == date(9999, 12, 31)


@given(TEXTS, DAYS)
def test_nothing_is_taken_away(text: str, day: date) -> None:
    added = list(notes(text, day=day))
    dated = with_dates(text, day=day)
    assert len(dated) == len(text) + sum(len(note) for _, note in added)
    for end, note in reversed(added):
        shift = sum(len(other) for place, other in added if place < end)
        assert dated[end + shift : end + shift + len(note)] == note
        dated = dated[: end + shift] + dated[end + shift + len(note) :]
    assert dated == text
    assert [end for end, _ in added] == sorted({end for end, _ in added})
    assert all(re.fullmatch(r" ?\(~?[0-9/-]+\)", note) for _, note in added)


@given(TEXTS, DAYS, DAYS)
def test_doing_it_again_changes_nothing_on_any_day(text: str, day: date, later: date) -> None:
    dated = with_dates(text, day=day)
    assert with_dates(dated, day=day) == dated
    if all(day.year not in (1, 9999) for day in (day, later)):
        assert with_dates(dated, day=later) == dated


@pytest.mark.parametrize(
    "text",
    [
        "\u201e" * 100_000 + "today",
        "today" + '"' * 100_000,
        "today" + ('"' + "a" * (MAX_QUOTE_CHARS - 1)) * 500,
        "today" + "`" * 100_000,
        "today" + "```" * 30_000,
        "today" + "> " * 50_000,
        "in 3 days a few couple of " * 5_000,
        "today " + "a" * 100_000 + "://",
        "last " * 20_000,
    ],
)
def test_hostile_text_takes_no_longer_than_its_length(text: str) -> None:
    # Quadratic work on these takes minutes, which the test run would not survive.
    assert len(with_dates(text, day=SUNDAY)) >= len(text)


@given(TEXTS)
def test_the_rules_that_are_tried_are_those_whose_words_stand_in_the_text(text: str) -> None:
    known = relative_dates._vocabulary()
    words = frozenset(relative_dates._WORD.findall(text.casefold()))
    has_han = relative_dates._HAN.search(text) is not None
    expected = [rule for rule in known.rules if (rule.needs & words if rule.needs else has_han)]
    assert list(relative_dates._worth_trying(text, known)) == expected

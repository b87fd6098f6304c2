"""Relative dates made absolute: "yesterday" becomes "yesterday (2026-11-21)". Pure."""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import regex

from memrouter.memory.extraction.date_words import DATE_WORDS, DateWords
from memrouter.memory.retrieval.dates import COUNTS, MONTHS_BY_NAME
from memrouter.memory.storing.drafts import MAX_TIME_MS
from memrouter.memory.time_spans import TimeSpan, day_span, month_span, unit_span

SEARCHED_CHARS: Final = 4000
"""Of a text the first so many characters are looked at: what is longer is a document with a day of its own."""
MAX_QUOTE_CHARS: Final = 200
"""Longer quotations are left alone."""
MAX_SENTENCE_CHARS: Final = 500
"""In longer sentences, words that mean a date only by what stands around them are left alone."""

_NOTE = regex.compile(r" ?\(~?\d{4}(?:-\d\d){0,2}(?:/\d{4}-\d\d-\d\d)?\)")
_CJK = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_WORD = regex.compile(rf"(?:(?!{_CJK})\w)+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_JOINED = regex.compile(rf"(?:(?!{_CJK})[\w/\\@#$=.&~_-]|\d,)\Z")
_AFTER = rf"(?!(?!{_CJK})[\w/\\@=~]|[.:-]\w)"
_HAN = regex.compile(_CJK)
_KEPT = regex.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*+`|(?<![^\n])[ \t]*+>[^\n]*+|\b[a-z][a-z0-9+.-]{1,20}://\S++|\bwww\.\S++"
    rf'|"[^"\n]{{{MAX_QUOTE_CHARS},}}+"|\u201c[^\u201c\u201d\n]{{{MAX_QUOTE_CHARS},}}+\u201d'
    rf"|\u00ab[^\u00ab\u00bb\n]{{{MAX_QUOTE_CHARS},}}+\u00bb|\u201e[^\u201c\u201d\u201e\n]{{{MAX_QUOTE_CHARS},}}+[\u201c\u201d]",
    regex.DOTALL | regex.IGNORECASE,
)
_MAY_KEEP = re.compile('[`>"\u201c\u00ab\u201e]|://|[wW]{3}\\.')
"""Stands in whatever ``_KEPT`` finds, and is found quicker."""
_SENTENCE_END = regex.compile(r"[.!?\n\u3002\uff01\uff1f]")
_DETERMINED = regex.compile(
    r"(?:\b(?:the|a|my|our|your|his|her|their|its|that|every|each|very|at|guten|gestern|heute|jeden|am|der|den|dem|"
    r"einen|diesen|la|esta|una|cada|toda|media|pasado|el)|['\u2019]s)\s\Z",
    regex.IGNORECASE,
)
_INEXACT = regex.compile(r"\b(?:half|than|over|under|nearly|almost|or|to|desde)\s\Z", regex.IGNORECASE)
_TO_COME = regex.compile(
    r"['\u2019](?:ll|m|s|re)\b|\b(?:will|won['\u2019]t|shall|going to|gonna|am|is|are|have (?:an?|my|to)|"
    r"has (?:an?|to)|leaves?|starts?|begins?|ends?|expires?|due|opens?|closes?|arrives?|fly|flies|moves?|back|"
    r"ready|remind|deadline|appointment|meeting|exam|flight)\b",
    regex.IGNORECASE,
)
_GONE_BY = regex.compile(
    r"n['\u2019]t\b|\b(?:was|were|had|did|been|first time|once|twice|ever|times|took|read|wrote|made|got|lost|won|ran|"
    r"built|best|worst|\w{3,}ed)\b",
    regex.IGNORECASE,
)
_FRENCH = regex.compile(
    r"\b(?:je|nous|vous|ils?|elles?|on|tu|le|la|les|une|et|que|qui|avec|mon|ma|mes|est|suis|\u00e9tait|pour|pas|aux?|"
    r"\u00e0|du)\b|\b[jcdl]['\u2019]",
    regex.IGNORECASE,
)
_GERMANIC = regex.compile(
    r"\b(?:ich|ist|das|und|der|die|nicht|wir|sie|bin|war|meine?|eine?|de|het|een|ik|van|zijn|niet|wij|er|met)\b",
    regex.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One way to name a time; see ``date_words.Row``."""

    pattern: "regex.Pattern[str]"
    needs: frozenset[str]
    unit: str
    shift: int
    parted: bool


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """What the words of all languages stand for.

    Attributes:
        rules: All ways to name a time.
        by_word: Places in ``rules`` of those that need a word, by each word that they may need.
        without: Places of those that need none; they are for texts in Chinese or Japanese.
        numbers: Values of words for numbers.
        units: Units of time by their names.
        weekdays: Numbers of weekdays by their names.
    """

    rules: tuple[_Rule, ...]
    by_word: Mapping[str, frozenset[int]]
    without: frozenset[int]
    numbers: Mapping[str, int]
    units: Mapping[str, str]
    weekdays: Mapping[str, int]


def with_dates(text: str, *, day: date) -> str:
    """Return ``text`` with the absolute date in brackets behind each relative one: ``yesterday (2026-11-21)``.

    Days are given as ``2026-11-21``, months as ``2026-10``, years as ``2025``, weeks and weekends as
    ``2026-11-09/2026-11-15``; ``~`` in front says about. Weeks begin on Monday. Nothing is taken away, and doing it
    again adds nothing. Left alone are code, addresses of web pages, quoted lines, quotations of over 200 characters,
    what lies behind the first 4,000 characters, and words that could mean something else.

    Args:
        text: What somebody said.
        day: The day on which it was said.
    """
    pieces: list[str] = []
    position = 0
    for end, note in notes(text, day=day):
        pieces += (text[position:end], note)
        position = end
    return text if not pieces else "".join((*pieces, text[position:]))


def without_dates(text: str) -> str:
    """Return ``text`` without such dates in brackets, whoever wrote them."""
    plain: str = _NOTE.sub("", text)
    return plain


def day_of(ms: int) -> date:
    """Return the day of a moment in milliseconds since the epoch, UTC."""
    return datetime.fromtimestamp(min(max(ms, 0), MAX_TIME_MS) / 1000, UTC).date()


def notes(text: str, *, day: date) -> Iterator[tuple[int, str]]:
    """Yield what ``with_dates`` puts in, and where, in rising order."""
    known = _vocabulary()
    found = sorted(_found(text, known, day), key=lambda match: (match[0], -match[1]))
    kept = [span.span() for span in _KEPT.finditer(text)] if found and _MAY_KEEP.search(text) else []
    position = 0
    for start, end, note in found:
        if start < position:
            continue
        position = end
        if note and not _NOTE.match(text, end) and not any(first < end and start < last for first, last in kept):
            yield end, note


def _found(text: str, known: _Vocabulary, day: date) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and note of everything that names a relative time, in no order; an empty note for none."""
    searched = text[:SEARCHED_CHARS]
    for rule in _worth_trying(searched, known):
        for match in rule.pattern.finditer(text, 0, SEARCHED_CHARS + 64):
            if match.end() > SEARCHED_CHARS or not _fits(match, text, parted=rule.parted):
                continue
            try:
                span = _read(match, rule, known, day)
            except (ValueError, OverflowError):
                continue
            if span is not None:
                about = "~" if match.groupdict().get("vague") else ""
                yield match.start(), match.end(), f"{' ' if rule.parted else ''}({about}{span.iso()})"


def _worth_trying(searched: str, known: _Vocabulary) -> Iterator[_Rule]:
    """Yield the rules of which a needed word stands in a text, in their order."""
    ascii_only = searched.isascii()
    words = known.by_word.keys() & (_ASCII_WORD if ascii_only else _WORD).findall(searched.casefold())
    places = set[int]().union(*(known.by_word[word] for word in words))
    if not ascii_only and _HAN.search(searched) is not None:
        places |= known.without
    for place in sorted(places):
        yield known.rules[place]


def _fits(match: "regex.Match[str]", text: str, *, parted: bool) -> bool:
    """Return whether what stands around a time is of the kind that its pattern asks for."""
    asked = [name for name, found in match.groupdict().items() if found == ""]
    before = text[max(0, match.start() - 12) : match.start()]
    if parted and _JOINED.search(before):
        return False
    if ("bare" in asked and _DETERMINED.search(before)) or ("exact" in asked and _INEXACT.search(before)):
        return False
    if "future" not in asked and "french" not in asked:
        return True
    around = _around(text, match.start(), match.end())
    if around is None:
        return False
    if "french" in asked:
        return _FRENCH.search(around) is not None and _GERMANIC.search(around) is None
    return _TO_COME.search(around) is not None and _GONE_BY.search(around) is None


def _around(text: str, start: int, end: int) -> str | None:
    """Return the sentence that holds a place, without the place; None where it is too long."""
    before, after = max(0, start - MAX_SENTENCE_CHARS), end + MAX_SENTENCE_CHARS
    begins = [found.end() for found in _SENTENCE_END.finditer(text, before, start)]
    ends = _SENTENCE_END.search(text, end, after)
    if (not begins and before > 0) or (ends is None and after < len(text)):
        return None
    return f"{text[begins[-1] if begins else 0 : start]} {text[end : ends.start() if ends else len(text)]}"


def _read(match: "regex.Match[str]", rule: _Rule, known: _Vocabulary, today: date) -> TimeSpan | None:
    """Return the time that is meant; None where that is not sure.

    Raises:
        ValueError, OverflowError: It is not in the years 1 to 9999.
    """
    groups = {name: found.casefold() for name, found in match.groupdict().items() if found}
    if "weekday" in groups:
        return _weekday(known.weekdays[groups["weekday"]], rule, today)
    if "month" in groups:
        return _month(MONTHS_BY_NAME[groups["month"]], rule.shift, today)
    shift = rule.shift
    if "vague" in groups:
        shift *= COUNTS[groups["vague"]]
    elif "count" in groups:
        count = groups["count"]
        shift *= known.numbers[count] if count in known.numbers else int(count)
    return unit_span(known.units[groups["unit"]] if "unit" in groups else rule.unit, shift, today)


def _weekday(number: int, rule: _Rule, today: date) -> TimeSpan | None:
    ahead = number - today.weekday()
    if rule.unit == "week":
        return day_span(today + timedelta(days=ahead + 7 * rule.shift))
    if rule.unit == "coming":
        return day_span(today + timedelta(days=(ahead - 1) % 7 + 1))
    match rule.shift:
        case -1:
            return day_span(today - timedelta(days=(-ahead - 1) % 7 + 1))
        case 1:
            return day_span(today + timedelta(days=ahead + 7))
        case _:
            return day_span(today + timedelta(days=ahead)) if ahead >= 0 else None


def _month(number: int, shift: int, today: date) -> TimeSpan:
    if shift < 0:
        return month_span(today.year if number < today.month else today.year - 1, number)
    return month_span(today.year + (shift > 0 and number <= today.month), number)


@functools.cache
def _vocabulary() -> _Vocabulary:
    numbers: dict[str, int] = {}
    units: dict[str, str] = {}
    weekdays: dict[str, int] = {}
    for words in DATE_WORDS:
        for number, same in enumerate(words.numbers.split(), start=1):
            numbers.update(dict.fromkeys(same.split("/"), number))
        for unit, names in words.units.items():
            units.update(dict.fromkeys(names.split(), unit))
        weekdays.update({name: number for number, name in enumerate(words.weekdays.split())})
    rules = tuple(rule for words in DATE_WORDS for rule in _rules(words))
    by_word: dict[str, set[int]] = {}
    for place, rule in enumerate(rules):
        for word in rule.needs:
            by_word.setdefault(word, set()).add(place)
    return _Vocabulary(
        rules,
        by_word={word: frozenset(places) for word, places in by_word.items()},
        without=frozenset(place for place, rule in enumerate(rules) if not rule.needs),
        numbers=numbers,
        units=units,
        weekdays=weekdays,
    )


def _rules(words: DateWords) -> Iterator[_Rule]:
    units = " ".join(words.units.values())
    groups = {
        "{n}": rf"(?P<count>\d{{1,3}}|{_either(words.numbers.replace('/', ' '))})",
        "{u}": rf"(?P<unit>{_either(units)})",
        "{w}": rf"(?P<weekday>{_either(words.weekdays)})",
    }
    for needs, pattern, unit, shift in words.rows:
        filled = pattern
        for name, group in groups.items():
            filled = filled.replace(name, group)
        bounded = rf"(?:{filled}){_AFTER}" if words.parted else filled
        compiled = regex.compile(bounded, regex.IGNORECASE)
        yield _Rule(compiled, frozenset(needs.split()), unit, shift, words.parted)


def _either(words: str) -> str:
    return "|".join(sorted(words.split(), key=len, reverse=True))

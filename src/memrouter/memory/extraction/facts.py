"""From what a model wrote to the facts that can be relied on. Pure; the text is hostile."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import regex

from memrouter.memory.extraction.prompt import MAX_FACT_CHARS
from memrouter.memory.extraction.relative_dates import day_of, with_dates
from memrouter.memory.extraction.source_turns import spoken
from memrouter.memory.injection.blocks import strip_blocks
from memrouter.memory.retrieval.languages import ENGLISH, stop_words
from memrouter.memory.retrieval.words import tokenize
from memrouter.memory.storing.drafts import storable_text
from memrouter.memory.storing.extract import strip_thinking
from memrouter.memory.storing.trust import lowest
from memrouter.models.memory import MemoryRecord, MemoryType, Trust, content_digest

MAX_FACTS: Final = 32
"""Most facts that are taken from one answer."""

_MAX_READ: Final = 256
_STEM: Final = 5
_LEAST_WORD: Final = 3
_GENERIC: Final = frozenset({"user", "users", "assistant", "memory"})
_RUN = regex.compile(r"[^\s,;!?()\"]+")


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """Something worth remembering that turns say.

    Attributes:
        text: One line, at most MAX_FACT_CHARS characters before dates are added.
        type: ``semantic`` or ``procedural``.
        importance: 0 to 1.
        trust: The lowest of its turns; at most ``model`` where the user's own words do not bear it out.
        sources: The turns that say it, at least one.
        replaces: The remembered fact that it makes untrue, as the model says; None for none.
    """

    text: str
    type: MemoryType
    importance: float
    trust: Trust
    sources: tuple[MemoryRecord, ...]
    replaces: MemoryRecord | None

    @property
    def said_at(self) -> int:
        """Return when it was last said, in milliseconds since the epoch."""
        return max(source.created_at for source in self.sources)


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What an answer holds.

    Attributes:
        kept: The facts.
        dropped: How many were left out, by reason: ``malformed``, ``length``, ``unsupported``, ``repeated``,
            ``surplus``.
    """

    kept: tuple[Fact, ...]
    dropped: Counter[str]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A turn, and the stems of what each of the two said."""

    record: MemoryRecord
    user: frozenset[str]
    assistant: frozenset[str]


class _Form(msgspec.Struct):
    fact: str
    type: Literal["semantic", "procedural"]
    importance: float
    said_by: Literal["user", "assistant"]
    turns: list[int]
    replaces: int = 0


class _Answer(msgspec.Struct):
    facts: list[msgspec.Raw]


def read_facts(answer: str, turns: Sequence[MemoryRecord], known: Sequence[MemoryRecord]) -> Facts | None:
    """Return the facts of a model's answer; None where the answer is not of the form that was asked for.

    A fact stays out that has another form, is empty or over-long, names no turn that was shown, or shares no word with
    the turns that it names. Takes some milliseconds; longer for large answers, so it belongs in a thread.

    Args:
        answer: What the model wrote; thinking, and anything around the JSON object, is passed over.
        turns: What it was shown, in that order.
        known: The facts that it was shown, in that order.
    """
    forms = _forms(answer)
    if forms is None:
        return None
    heard = [_heard(record) for record in turns]
    kept: dict[str, Fact] = {}
    dropped: Counter[str] = Counter()
    for raw in forms:
        fact = _fact(raw, heard, known)
        if isinstance(fact, str):
            dropped[fact] += 1
        elif content_digest(fact.text) in kept:
            dropped["repeated"] += 1
        elif len(kept) >= MAX_FACTS:
            dropped["surplus"] += 1
        else:
            kept[content_digest(fact.text)] = fact
    return Facts(tuple(kept.values()), dropped)


def _forms(answer: str) -> Sequence[msgspec.Raw] | None:
    text = strip_thinking(answer)
    start, end = text.find("{"), text.rfind("}")
    try:
        return msgspec.json.decode(text[start : end + 1].encode("utf-8", "replace"), type=_Answer).facts[:_MAX_READ]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _heard(record: MemoryRecord) -> _Turn:
    words = spoken(record)
    return _Turn(record, frozenset(_stems(words.user)), frozenset(_stems(words.assistant)))


def _fact(raw: msgspec.Raw, turns: Sequence[_Turn], known: Sequence[MemoryRecord]) -> Fact | str:
    """Return the fact of one form, or why it is none."""
    try:
        form = msgspec.json.decode(raw, type=_Form)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "malformed"
    if not 0.0 <= form.importance <= 1.0:
        return "malformed"
    text = " ".join(storable_text(strip_blocks(form.fact)).split())
    if not any(char.isalnum() for char in text) or len(text) > MAX_FACT_CHARS:
        return "length"
    said = [turns[number - 1] for number in sorted(set(form.turns)) if 1 <= number <= len(turns)]
    stems = frozenset(_stems(text))
    if all(stems.isdisjoint(turn.user | turn.assistant) for turn in said):
        return "unsupported"
    sources = tuple(turn.record for turn in said)
    by_user = form.said_by == "user" and _user_says(text, stems, said)
    return Fact(
        text=with_dates(text, day=day_of(max(source.created_at for source in sources))),
        type=MemoryType(form.type),
        importance=form.importance,
        trust=lowest((*(source.trust for source in sources), Trust.DIRECT_USER if by_user else Trust.MODEL)),
        sources=sources,
        replaces=known[form.replaces - 1] if 1 <= form.replaces <= len(known) else None,
    )


def _user_says(text: str, stems: frozenset[str], said: Sequence[_Turn]) -> bool:
    """Return whether the user's own words bear a fact out: no particular of it is only the assistant's."""
    user = frozenset(stem for turn in said for stem in turn.user)
    assistant = frozenset(stem for turn in said for stem in turn.assistant)
    particulars = {stem for word in _particulars(text) for stem in _stems(word)}
    return not stems.isdisjoint(user) and particulars.isdisjoint(assistant - user)


def _particulars(text: str) -> Iterator[str]:
    """Yield what tells one thing from another of its kind: names within the text, numbers, addresses."""
    for place, run in enumerate(_RUN.findall(text)):
        word = run.strip(".:'\u2019")
        if any(char.isdigit() for char in word) or not word.isalpha() or (place > 0 and word[:1].isupper()):
            yield word


def _stems(text: str) -> Iterator[str]:
    common = stop_words(ENGLISH)
    for token in tokenize(text):
        long_enough = len(token) >= (_LEAST_WORD if token.isascii() else 2) or token.isdigit()
        if long_enough and token not in common and token not in _GENERIC:
            yield token[:_STEM]

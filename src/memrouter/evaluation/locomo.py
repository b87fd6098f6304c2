"""Files in the form of LoCoMo, read strictly: what is wrong is refused by its place, what does not count is counted."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from memrouter.errors import InvalidRequest
from memrouter.evaluation.conversations import Conversation, DataSet, LeftOut, Question, Utterance
from memrouter.memory.storing.drafts import MAX_TIME_MS, storable_text
from memrouter.models.memory import cut_to_bytes

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Larger files are refused unread."""
TURN_MS = 10_000
"""Time between two turns of a session, of which only the beginning is known."""
COUNTED_CATEGORIES = (1, 2, 3, 4)
SAMPLE = "sample"
"""Name of the bundled conversations."""

_SESSION = re.compile(r"session_([0-9]{1,6})")
_DATE_FORMAT = "%I:%M %p on %d %B, %Y"
_BETWEEN_IDS = re.compile(r"[;,\s]+")
_T = TypeVar("_T")


class _TurnForm(msgspec.Struct):
    speaker: str
    dia_id: str
    text: str
    blip_caption: str | None = None


class _QuestionForm(msgspec.Struct):
    question: str
    category: int
    evidence: list[str] = []


class _ConversationForm(msgspec.Struct):
    conversation: dict[str, Any]
    qa: list[_QuestionForm]
    sample_id: str | None = None


def read_data_set(path: Path) -> DataSet:
    """Return the conversations of a file in LoCoMo's public form. Reads a file: not for the event loop.

    Evidence ids that stand in one string, with blanks, commas or semicolons between, count apart. Ids that name no turn
    of the conversation are left out, and so are questions left without any and questions of other categories than
    1 to 4; ``left_out`` counts them.

    Raises:
        InvalidRequest: The file cannot be read or has another form; the message names file and place.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidRequest(f"{path}: {size} bytes; at most {MAX_FILE_BYTES} are read")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return parse_data_set(raw, path.name, shown=str(path))


def read_sample() -> DataSet:
    """Return the bundled conversations. Reads a file: not for the event loop."""
    return parse_data_set(files("memrouter.evaluation").joinpath("data/sample.json").read_bytes(), SAMPLE, shown=SAMPLE)


def parse_data_set(raw: bytes, name: str, *, shown: str) -> DataSet:
    """Return the conversations in ``raw``; see ``read_data_set``.

    Args:
        raw: JSON: a list of conversations.
        name: What to call the data set.
        shown: The file's name for messages.

    Raises:
        InvalidRequest: ``raw`` has another form.
    """
    forms = _decoded(raw, shown)
    if not forms:
        raise InvalidRequest(f"{shown}: $: an empty list; there must be at least one conversation")
    conversations = []
    left = LeftOut()
    for number, form in enumerate(forms):
        place = f"{shown}: $[{number}]"
        utterances = _utterances(form.conversation, f"{place}.conversation")
        questions, less = _questions(form.qa, frozenset(turn.id for turn in utterances))
        conversations.append(Conversation(form.sample_id or str(number + 1), utterances, questions))
        left = LeftOut(
            category=left.category + less.category,
            without_evidence=left.without_evidence + less.without_evidence,
            unknown_ids=left.unknown_ids + less.unknown_ids,
        )
    if not any(conversation.questions for conversation in conversations):
        raise InvalidRequest(f"{shown}: no question of a category from 1 to 4 names a turn of its conversation")
    return DataSet(name, tuple(conversations), left)


def _decoded(raw: bytes, shown: str) -> Sequence[_ConversationForm]:
    try:
        return msgspec.json.decode(raw, type=list[_ConversationForm])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{shown}: {_readable(error)}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"{shown}:{_line(raw, str(error))}: {error}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{shown}: the text is not UTF-8 at byte {error.start}") from None


def _line(raw: bytes, message: str) -> int:
    found = re.search(r"\(byte (\d+)\)", message)
    return raw.count(b"\n", 0, int(found[1]) if found else len(raw)) + 1


def _readable(error: msgspec.ValidationError, inside: str = "$") -> str:
    """Return msgspec's message with the place in front: ``$[0].qa[2]: Expected ...``."""
    message, _, place = str(error).partition(" - at ")
    return f"{inside}{place.strip('`').removeprefix('$')}: {message}"


def _utterances(sessions: dict[str, Any], place: str) -> tuple[Utterance, ...]:
    numbers = sorted(int(found[1]) for found in map(_SESSION.fullmatch, sessions) if found)
    turns: list[Utterance] = []
    for number in numbers:
        turns += _session(sessions, f"session_{number}", place)
    if not turns:
        raise InvalidRequest(f"{place}: no turn; the turns stand in session_1, session_2 and so on")
    seen: set[str] = set()
    for turn in turns:
        if turn.id in seen:
            raise InvalidRequest(f"{place}.{turn.session}: the dia_id {turn.id[:64]!r} names two turns")
        seen.add(turn.id)
    return tuple(sorted(turns, key=lambda turn: turn.at))


def _session(sessions: dict[str, Any], name: str, place: str) -> list[Utterance]:
    forms = _converted(sessions[name], list[_TurnForm], f"{place}.{name}")
    if not forms:
        return []
    begun = _begin(sessions.get(f"{name}_date_time"), f"{place}.{name}_date_time")
    return [
        Utterance(id=form.dia_id, session=name, index=index, at=begun + index * TURN_MS, text=_text(form))
        for index, form in enumerate(forms)
    ]


def _converted(value: object, form: type[_T], place: str) -> _T:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_readable(error, place)) from None


def _begin(value: object, place: str) -> int:
    try:
        begun = datetime.strptime(str(value), _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        found = "nothing" if value is None else repr(value)[:64]
        raise InvalidRequest(
            f"{place}: found {found}; must be a time such as '1:56 pm on 8 May, 2023', taken as UTC"
        ) from None
    ms = int(begun.timestamp()) * 1000
    if not 0 <= ms < MAX_TIME_MS // 2:
        raise InvalidRequest(f"{place}: found {value!r}; must be a time after 1970")
    return ms


def _text(form: _TurnForm) -> str:
    caption = f" [shares {form.blip_caption}]" if form.blip_caption else ""
    return cut_to_bytes(storable_text(f"{form.speaker}: {form.text}{caption}"))


def _questions(forms: Iterable[_QuestionForm], known: frozenset[str]) -> tuple[tuple[Question, ...], LeftOut]:
    questions = []
    category = without = unknown = 0
    for form in forms:
        if form.category not in COUNTED_CATEGORIES:
            category += 1
            continue
        named = list(dict.fromkeys(part for text in form.evidence for part in _BETWEEN_IDS.split(text) if part))
        evidence = tuple(part for part in named if part in known)
        unknown += len(named) - len(evidence)
        if evidence:
            questions.append(Question(form.question, form.category, evidence))
        else:
            without += 1
    return tuple(questions), LeftOut(category=category, without_evidence=without, unknown_ids=unknown)

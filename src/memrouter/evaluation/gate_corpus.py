"""Labelled turns for the gate: junk, attacks, secrets, and what is worth remembering."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

from memrouter.errors import InvalidRequest
from memrouter.evaluation.fake_secrets import FAKES
from memrouter.evaluation.locomo import read_data_set
from memrouter.models.memory import Trust

Outcome = Literal["kept", "junk", "quarantined", "redacted"]
"""What the gate does with a turn."""
Half = Literal["tuning", "test"]
"""Rules were written with one half in view, and are measured on the other."""

_SLOT = re.compile(r"\{(\w+)\}")
_TRIES = 8


class GateCase(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn and what has to become of it.

    Attributes:
        kind: Kind of turn, such as ``system_prompt`` or ``fact``.
        wanted: What the gate has to do.
        text: What the user said.
        answer: What the assistant said.
        trust: Who the words come from; other than ``direct_user``, the text stands alone and not in a turn.
        secret: What must not be left in the stored text; empty for none.
    """

    kind: str
    wanted: Outcome
    text: str
    answer: str = ""
    trust: Trust = Trust.DIRECT_USER
    secret: str = ""


class _Kind(msgspec.Struct, frozen=True):
    wanted: Outcome
    written: tuple[str, ...]
    templates: tuple[str, ...]
    unforeseen: tuple[str, ...] = ()
    trust: Trust = Trust.DIRECT_USER


class _Corpus(msgspec.Struct, frozen=True):
    slots: dict[str, tuple[str, ...]]
    answers: tuple[str, ...]
    questions: tuple[str, ...]
    kinds: dict[str, _Kind]


def bundled_cases(half: Half, *, each: int, seed: int) -> list[GateCase]:
    """Return cases of one half of the bundled corpus: its hand-written texts, and its templates filled in at random.

    The halves share no hand-written text and no template. The test half also has what was written last, on purpose
    in forms that the rules did not look for then. Reads a file: not for the event loop.

    Args:
        half: Which one.
        each: Most cases of a kind; a kind with few templates has fewer, since no two cases are alike.
        seed: Of the filling.
    """
    raw = files("memrouter.evaluation").joinpath("data/gate_corpus.json").read_bytes()
    corpus = msgspec.json.decode(raw, type=_Corpus)
    rng = Random(seed)
    return [case for name, kind in corpus.kinds.items() for case in _cases(corpus, name, kind, half, each, rng)]


def read_cases(path: Path) -> list[GateCase]:
    """Return the cases of a file: objects like ``GateCase``, or conversations in LoCoMo's form, all worth keeping.

    Reads a file: not for the event loop.

    Raises:
        InvalidRequest: The file cannot be read, is of neither form, or has no case.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path}: cannot be read ({error.strerror})") from None
    if b'"kind"' not in raw[:4096]:
        return [
            GateCase("conversation", "kept", utterance.text, trust=Trust.DIRECT_USER)
            for conversation in read_data_set(path).conversations
            for utterance in conversation.utterances
        ]
    try:
        cases = msgspec.json.decode(raw, type=list[GateCase])
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{path}: {error}") from None
    if not cases:
        raise InvalidRequest(f"{path}: there is no case in it")
    return cases


def _cases(corpus: _Corpus, name: str, kind: _Kind, half: Half, each: int, rng: Random) -> Iterator[GateCase]:
    parity = 0 if half == "tuning" else 1
    late = kind.unforeseen if half == "test" else ()
    written, templates = (*late, *kind.written[parity::2]), kind.templates[parity::2]
    seen: set[str] = set()
    for number in range(max(each, len(written)) * _TRIES):
        source = written[number] if number < len(written) else templates[number % len(templates)]
        text, secret = _filled(source, corpus.slots, rng)
        if text not in seen:
            seen.add(text)
            if name == "refusal":
                yield GateCase(name, kind.wanted, rng.choice(corpus.questions), text)
            else:
                yield GateCase(name, kind.wanted, text, rng.choice(corpus.answers), kind.trust, secret)
        if len(seen) == each:
            return


def _filled(template: str, slots: Mapping[str, Sequence[str]], rng: Random) -> tuple[str, str]:
    """Return a template with its slots filled, and the secret among what they were filled with."""
    secret = ""

    def fill(slot: re.Match[str]) -> str:
        nonlocal secret
        name = slot[1]
        if name in slots:
            return rng.choice(slots[name])
        fake = FAKES.get(name)
        if fake is None:
            return slot[0]
        value = fake.make(rng)
        secret = value if fake.secret else secret
        return value

    return _SLOT.sub(fill, template), secret

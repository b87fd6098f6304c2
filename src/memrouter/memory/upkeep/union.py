"""Several texts as one, without a model: the first as it is, then what the others say besides. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import regex

_LABEL: Final = regex.compile(r"(?:[QA]|User|Assistant):\s+")
_SENTENCE: Final = regex.compile(
    r".+?(?:[.!?\u2026]+[\"')\]\u201d\u00bb]*(?=\s)|[\u3002\uff01\uff1f]+|$)", regex.DOTALL
)
_FENCE: Final = "```"


class Form(StrEnum):
    """How a text is written; only texts of one form can become one."""

    DIALOGUE = "dialogue"
    """Every line belongs to a speaker, who is named in front of it or of a line above."""
    PLAIN = "plain"
    """No line names a speaker."""


def form_of(text: str) -> Form | None:
    """Return the form of a text; None where it would fall to pieces: code, or speakers for a part of it only."""
    if _FENCE in text:
        return None
    labelled = [_LABEL.match(line.strip()) is not None for line in text.splitlines() if line.strip()]
    if not any(labelled):
        return Form.PLAIN
    return Form.DIALOGUE if labelled[0] else None


def sentences(text: str) -> Iterator[tuple[str, str]]:
    """Yield the sentences of a text, each with the label of its speaker, such as ``Q: ``, or nothing."""
    for line in _lines(text):
        for sentence in line.said:
            yield line.speaker, sentence


def union(texts: Sequence[str]) -> str:
    """Return the first text and, on lines of their own, the sentences of the others that stand nowhere before them.

    Sentences are the same in NFKC, folded case and white space alike; those of different speakers are not. Where
    nothing is added, the first text is returned as it is.

    Args:
        texts: At least one, all of one form, in the order in which they are to stand.
    """
    held = {key(*each) for each in sentences(texts[0])}
    lines = [texts[0]]
    for text in texts[1:]:
        lines += _added(text, held)
    return "\n".join(lines)


def key(label: str, sentence: str) -> tuple[str, str]:
    """Return what is the same for two sentences that say the same."""
    return label.strip(), " ".join(unicodedata.normalize("NFKC", sentence).casefold().split())


@dataclass(frozen=True, slots=True)
class _Line:
    speaker: str
    said: list[str]


def _added(text: str, held: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the lines that a text adds, each with its speaker, and note their sentences as held."""
    for line in _lines(text):
        new = []
        for sentence in line.said:
            if key(line.speaker, sentence) not in held:
                held.add(key(line.speaker, sentence))
                new.append(sentence)
        if new:
            yield line.speaker + " ".join(new)


def _lines(text: str) -> Iterator[_Line]:
    speaker = ""
    for line in text.splitlines():
        said = line.strip()
        label = _LABEL.match(said)
        if label:
            speaker, said = label.group(), said[label.end() :]
        yield _Line(speaker, [part for part in _split(said) if any(char.isalnum() for char in part)])


def _split(line: str) -> list[str]:
    """Return the sentences of a line; the whole line where a sentence of it, put on a line, would name a speaker."""
    parts = [match.group().strip() for match in _SENTENCE.finditer(line)]
    return [line] if any(_LABEL.match(part) for part in parts) else parts

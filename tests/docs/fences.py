"""The blocks of code in the documents, and the commands in their shell blocks."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in ("docs", "deploy") for page in (ROOT / folder).rglob("*.md"))])
SHELL = ("sh", "sh error")
_FENCE = re.compile(r"^( *)```(?P<kind>[^\n]*)\n(?P<text>.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")
_BETWEEN = {"|", "||", "&&", ";", "&", "(", ")"}
_REDIRECTIONS = {">", ">>", "<", ">&", "&>"}
_HERE_DOCUMENT = re.compile(r"<<-?\s*'?(?P<end>[A-Z]+)'?(?P<rest>[^\n]*)\n.*?^\s*(?P=end)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fence:
    """A block of code: its page, the line where it begins, the words behind its opening fence, and its text."""

    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def fences(page: Path) -> list[Fence]:
    source = page.read_text(encoding="utf-8")
    return [
        Fence(
            page.name if page.parent.name == "docs" else str(page.relative_to(ROOT)),
            source[: found.start()].count("\n") + 1,
            found["kind"].strip(),
            "".join(line.removeprefix(found[1]) for line in found["text"].splitlines(keepends=True)),
        )
        for found in _FENCE.finditer(source)
    ]


FENCES = [fence for page in PAGES for fence in fences(page)]


def of_kind(*kinds: str) -> list[Fence]:
    return [fence for fence in FENCES if fence.kind in kinds]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the simple commands of a shell block as words, without assignments in front and redirections behind."""
    text = _HERE_DOCUMENT.sub(r"\g<rest>", text)
    begun = ""
    for line in text.replace("\\\n", " ").splitlines():
        try:
            yield from _simple(_tokens(begun + line))
        except ValueError:  # a quoted text goes on in the next line
            begun += line + "\n"
        else:
            begun = ""
    if begun:
        raise ValueError(f"a quoted text has no end: {begun}")


def _tokens(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def _simple(tokens: list[str]) -> Iterator[list[str]]:
    words: list[str] = []
    skip = False
    for token in [*tokens, ";"]:
        if token in _BETWEEN:
            while words and _ASSIGNMENT.fullmatch(words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        elif skip or token in _REDIRECTIONS:
            if not skip and words and words[-1].isdigit():
                words.pop()
            skip = not skip
        else:
            words.append(token)

"""What the doctor found, and what that means for its exit status."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_LONGEST = 2000


class Level(IntEnum):
    """How bad a finding is; the number is the exit status that it leads to."""

    OK = 0
    WARNING = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: What was looked at, such as ``persistence``.
        level: How bad it is.
        seen: What was found; never a secret, never a memory.
        why: Why that matters; empty where all is well.
        fix: The command or setting that mends it; empty where nothing has to be done.
    """

    check: str
    level: Level
    seen: str
    why: str = ""
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding for JSON."""
        return {**asdict(self), "level": self.level.name.lower()}


def ok(check: str, seen: str, *, fix: str = "") -> Finding:
    """Return a finding that all is well; ``fix`` may hold advice."""
    return Finding(check, Level.OK, seen, fix=fix)


def warning(check: str, seen: str, *, why: str, fix: str) -> Finding:
    """Return a finding of something that will hurt one day."""
    return Finding(check, Level.WARNING, seen, why, fix)


def broken(check: str, seen: str, *, why: str, fix: str) -> Finding:
    """Return a finding of something without which the router or its memory does not work."""
    return Finding(check, Level.BROKEN, seen, why, fix)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level among the findings; ``OK`` where there are none."""
    return max((finding.level for finding in findings), default=Level.OK)


def printable(text: str) -> str:
    """Return ``text`` on one line and without anything that could steer a terminal, cut to 2,000 characters."""
    return _CONTROL.sub(" ", text)[:_LONGEST].strip()

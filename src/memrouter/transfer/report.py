"""What a transfer did, in figures that must add up."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from memrouter.stores.query import Merged

MAX_REFUSALS: Final = 20
"""Most refusals that a report names one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A memory that was not taken.

    Attributes:
        line: Its line in the file, from 1; None where there is no file.
        reason: Why, without any memory text or user id.
    """

    line: int | None
    reason: str


@dataclass(slots=True)
class Outcomes:
    """What became of the memories that were read; the first six add up to ``read``.

    Attributes:
        added: New in the target.
        replaced: Put in the place of a memory of the same id.
        kept: Passed over, since the target's own memory of the same id stays.
        refused: Not taken; ``refusals`` names the first of them.
        left_out: Passed over by a filter.
        duplicates: Passed over, since their owner has a memory of the same text already, under another id.
        read: All memories that were read.
        reembedded: Taken memories that got a new vector from their text.
        mended: Taken memories whose text was made storable: cut, freed of control characters, or of secrets.
        renamed: Taken memories that got a new id, since theirs belongs to another owner in the target.
        quarantined: Taken memories that are kept apart, since they look like instructions to the model.
        evicted: Memories that had to leave, since their owner would have more than ``max_memories_per_user``.
        refusals: The first refusals, at most MAX_REFUSALS.
    """

    added: int = 0
    replaced: int = 0
    kept: int = 0
    refused: int = 0
    left_out: int = 0
    duplicates: int = 0
    read: int = 0
    reembedded: int = 0
    mended: int = 0
    renamed: int = 0
    quarantined: int = 0
    evicted: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Return whether every memory that was read is accounted for once."""
        return self.read == self.added + self.replaced + self.kept + self.refused + self.left_out + self.duplicates

    def settle(self, merged: Sequence[Merged]) -> None:
        """Count what a store said about memories that it was given."""
        self.added += sum(one is Merged.ADDED for one in merged)
        self.replaced += sum(one is Merged.REPLACED for one in merged)
        self.kept += sum(one is Merged.KEPT for one in merged)

    def refuse(self, reason: str, *, line: int | None = None) -> None:
        """Count a memory that was not taken."""
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(Refusal(line, reason))

    def include(self, other: "Outcomes") -> None:
        """Add the figures of a further part of the work."""
        for name in FIGURES:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refusals += other.refusals[: MAX_REFUSALS - len(self.refusals)]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {**asdict(self), "balanced": self.balanced}


FIGURES: Final = tuple(one.name for one in fields(Outcomes) if one.name != "refusals")
"""Names of the figures that can be added."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        memories: Memories written, which is the trailer's count.
        users: How many users they belong to.
        hidden: How many of them are superseded, or were expired at the time of the export.
        outcomes: ``added`` are the memories written.
        size: Bytes of all lines, before compression.
        sha256: As in the trailer, 64 hex digits; empty for a dry run.
        dry_run: Whether nothing was written.
    """

    memories: int
    users: int
    hidden: int
    outcomes: Outcomes
    size: int
    sha256: str
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {**asdict(self), "outcomes": self.outcomes.as_dict()}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        outcomes: What became of each memory; for a dry run, what would.
        sha256: Of the file's lines before its trailer; the trailer says the same. Empty where the file is damaged.
        damage: Why nothing from ``damaged_line`` on was imported; None where the file is whole.
        damaged_line: Line of the damage, from 1.
        dry_run: Whether nothing was written.
    """

    outcomes: Outcomes
    sha256: str
    damage: str | None = None
    damaged_line: int | None = None
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {**asdict(self), "outcomes": self.outcomes.as_dict()}

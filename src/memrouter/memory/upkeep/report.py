"""What came of upkeep. Holds no memory text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from memrouter.memory.upkeep.retention import Rule


@dataclass(slots=True)
class PruneReport:
    """What pruning removed, or would remove.

    Attributes:
        dry_run: Whether nothing was removed.
        users: Users whose memories were looked at.
        memories: Memories that were looked at.
        removed: How many went, or would go, by rule.
        spared: Memories that were to go, and were used, changed or pinned before they went.
        finished: Whether everybody was looked at.
    """

    dry_run: bool
    users: int = 0
    memories: int = 0
    removed: Counter[Rule] = field(default_factory=Counter)
    spared: int = 0
    finished: bool = True

    def as_dict(self) -> Mapping[str, object]:
        """Return everything in a form for JSON."""
        removed = {rule.value: self.removed[rule] for rule in Rule}
        facts = {"dry_run": self.dry_run, "users": self.users, "memories": self.memories}
        return facts | {"removed": removed, "spared": self.spared, "finished": self.finished}


@dataclass(frozen=True, slots=True)
class Merger:
    """Memories that one memory stands for now, or would.

    Attributes:
        memory_id: The one that stands for the others; None where a merged one would have to be made first.
        sources: Those that it stands for.
        rule: ``merged`` or ``repeated_by_turns``.
        similarity: ``vector_score`` of the two sources that are the least alike; None where vectors did not matter.
        by_model: Whether a model wrote the text.
    """

    memory_id: str | None
    sources: tuple[str, ...]
    rule: str
    similarity: float | None = None
    by_model: bool = False


@dataclass(slots=True)
class ConsolidationReport:
    """What consolidation merged, or would merge.

    Attributes:
        dry_run: Whether nothing was changed.
        users: Users whose memories were looked at.
        memories: Memories that were looked at.
        mergers: What was merged, or would be.
        refused: Groups whose merged text did not pass the screening.
        outdated: Groups of which a memory was changed meanwhile; they are looked at again the next time.
        finished: Whether everybody was looked at and every group was dealt with.
    """

    dry_run: bool
    users: int = 0
    memories: int = 0
    mergers: list[Merger] = field(default_factory=list)
    refused: int = 0
    outdated: int = 0
    finished: bool = True

    @property
    def fewer(self) -> int:
        """Return by how many the active memories became fewer, or would."""
        made = sum(merger.rule == "merged" for merger in self.mergers)
        return sum(len(merger.sources) for merger in self.mergers) - made

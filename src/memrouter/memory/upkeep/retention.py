"""Which memories have to go by themselves, and why. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from memrouter.config.keeping import QualitySettings, RetentionSettings
from memrouter.memory.upkeep.strength import DAY_MS, last_seen, standing
from memrouter.models.history import Event
from memrouter.models.memory import MemoryRecord

_REPLACING = frozenset({Event.SUPERSEDED, Event.CONSOLIDATED})


class Rule(StrEnum):
    """Why a memory goes."""

    EXPIRED = "expired"
    """Its time of expiry is over."""
    REPLACED = "replaced"
    """Another memory took its place, longer ago than that can be undone."""
    QUARANTINED = "quarantined"
    """It was kept apart for ``quarantine_days``, and nobody released it."""
    FADED = "faded"
    """Its standing is below ``prune_threshold``."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A memory that has to go.

    Attributes:
        memory_id: Which.
        rule: Why.
        days: For how long the rule's reason has stood: since its expiry, since it was replaced, quarantined, or, where
            it faded, since it was last seen.
        standing: Its retention weighted by importance, 0 to 1.5.
    """

    memory_id: str
    rule: Rule
    days: float
    standing: float


class RetentionRules:
    """The rules of one configuration.

    Args:
        quality: When memories have faded.
        retention: How long those are kept that are no longer found.
    """

    def __init__(self, quality: QualitySettings, retention: RetentionSettings) -> None:
        self._quality = quality
        self._retention = retention

    def departure(self, record: MemoryRecord, *, now: int, since: int = 0) -> Departure | None:
        """Return why a memory goes; None where it stays. A pinned memory goes by its own expiry alone.

        Args:
            record: The memory.
            now: Milliseconds since the epoch.
            since: Days without use before this moment do not count; milliseconds since the epoch.
        """
        reason = self._reason(record, now, since)
        if reason is None:
            return None
        rule, begun = reason
        left = standing(record, now=now, settings=self._quality, since=since)
        return Departure(record.id, rule, max(0, now - begun) / DAY_MS, left)

    def _reason(self, record: MemoryRecord, now: int, since: int) -> tuple[Rule, int] | None:
        """Return the rule and since when, in milliseconds, its reason has stood."""
        if record.expires_at is not None and record.expires_at <= now:
            return Rule.EXPIRED, record.expires_at
        if record.pinned:
            return None
        if record.superseded_by is not None:
            return _overdue(Rule.REPLACED, replaced_at(record), self._retention.undo_days, now)
        if record.quarantine is not None:
            begun = _latest(record, frozenset({Event.QUARANTINED}), record.created_at)
            return _overdue(Rule.QUARANTINED, begun, self._retention.quarantine_days, now)
        if standing(record, now=now, settings=self._quality, since=since) < self._quality.prune_threshold:
            return Rule.FADED, max(since, last_seen(record))
        return None


def replaced_at(record: MemoryRecord) -> int:
    """Return when a superseded or consolidated memory was replaced, in milliseconds since the epoch."""
    return _latest(record, _REPLACING, record.updated_at)


def _latest(record: MemoryRecord, events: frozenset[Event], otherwise: int) -> int:
    return max((entry.at for entry in record.history if entry.event in events), default=otherwise)


def _overdue(rule: Rule, begun: int, days: float, now: int) -> tuple[Rule, int] | None:
    return (rule, begun) if now - begun >= days * DAY_MS else None

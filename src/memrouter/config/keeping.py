"""What is kept and what goes: de-duplication, redaction, quarantine, extraction, retention, consolidation."""

from typing import Literal

from pydantic import Field

from memrouter.config.base import Seconds, Section

Treatment = Literal["keep", "mask", "drop"]
"""What becomes of personal data: it stays, it is replaced by its kind's name, or the whole memory is not stored."""


class DeduplicationSettings(Section):
    """When a text counts as remembered already; the same text always does."""

    enabled: bool = True
    """Whether a text that nearly says what a memory says refreshes that memory instead of being added."""
    similarity_threshold: float = Field(default=0.95, ge=0, le=1)
    """``vector_score`` from which two texts are compared word by word; numbers, names and negations must agree."""


class PersonalDataSettings(Section):
    """What becomes of personal data in a text that is to be stored: ``keep``, ``mask`` or ``drop``."""

    email: Treatment = "keep"
    phone: Treatment = "keep"
    iban: Treatment = "keep"
    ip_address: Treatment = "keep"
    national_id: Treatment = "keep"


class RedactionPattern(Section):
    """One more kind of text that is not to be stored."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_]*$")
    """Stands in place of what was found, and in metrics."""
    pattern: str
    """Regular expression."""
    action: Literal["mask", "drop"] = "mask"


class RedactionSettings(Section):
    """What is taken out of a text before it is embedded and stored."""

    enabled: bool = True
    """Whether secrets (keys, tokens, private keys, card numbers, passwords in URLs) are masked and the rest holds."""
    personal_data: PersonalDataSettings = PersonalDataSettings()
    patterns: tuple[RedactionPattern, ...] = ()


class QuarantineSettings(Section):
    """Texts that try to instruct the model are kept apart until their owner releases or deletes them."""

    enabled: bool = True
    patterns: tuple[str, ...] = ()
    """Further regular expressions; what one of them finds something in is quarantined."""


class ExtractionSettings(Section):
    """A model that turns finished turns into facts. Without one, turns and windows of turns are kept as they are."""

    enabled: bool = True
    """Whether a model that is named here, or has ``role: memory_extraction``, is used."""
    model: str = ""
    """Name from ``providers.models``; omitted = the one with ``role: memory_extraction``."""
    timeout_ms: int = Field(default=20_000, ge=1)
    """Most milliseconds for one call; past them the turns are kept as they are."""
    max_tokens: int = Field(default=1024, ge=64, le=16_384)
    """Most tokens that the model may write."""
    max_wait: Seconds = Field(default=30, ge=0)
    """Longest that a finished turn waits for its batch to fill."""


class RetentionSettings(Section):
    """When memories go by themselves."""

    episodic_days: float | None = Field(default=None, gt=0)
    """Days after which a new episodic memory expires; omitted = never."""
    semantic_days: float | None = Field(default=None, gt=0)
    procedural_days: float | None = Field(default=None, gt=0)
    undo_days: float = Field(default=30, ge=0)
    """Days for which superseded and consolidated memories are kept, so that it can be undone."""
    quarantine_days: float = Field(default=30, gt=0)
    """Days after which a quarantined memory is deleted."""
    interval: Seconds = Field(default=3600, gt=0)
    """How often the store is looked through for what has to go; one router of a fleet does it."""
    owners_per_second: float = Field(default=50, gt=0)
    """How fast; slower while requests are served."""


class QualitySettings(Section):
    """How long memories stay strong and how many one user may have."""

    initial_strength_days: float = Field(default=30, gt=0)
    """S = this + access count; retention R = exp(-days since last access / S)."""
    prune_threshold: float = Field(default=0.15, ge=0, le=1)
    """A memory whose retention, weighted by its importance, is below this is pruned; 0 prunes none."""
    max_memories_per_user: int = Field(default=2000, ge=1)
    """Over all projects; past it the weakest make room."""


class ConsolidationSettings(Section):
    """Merging of memories that say the same."""

    enabled: bool = True
    interval: Seconds = Field(default=3600, gt=0)
    """How often; one router of a fleet does it."""
    similarity_threshold: float = Field(default=0.90, ge=0, le=1)
    """``vector_score`` from which two memories may belong together; their words must agree too."""
    model: str = ""
    """Name from ``providers.models`` of a model that writes the merged text; omitted = the distinct sentences."""
    max_groups: int = Field(default=1000, ge=1)
    """Most groups that one run merges."""

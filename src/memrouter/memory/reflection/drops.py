"""What the reflection filter keeps, and why it leaves the rest out."""

from enum import StrEnum

import msgspec

from memrouter.memory.hits import Hit


class Drop(StrEnum):
    """Why a memory was left out."""

    BLOCKED = "blocked"
    """A block pattern found something in it."""
    PATTERN_TIMEOUT = "pattern_timeout"
    """A block pattern ran out of time on it; it is left out to be safe."""
    DUPLICATE = "duplicate"
    """A better memory says the same."""
    BUDGET = "budget"
    """It did not fit into the tokens that were left."""
    ALGORITHM = "algorithm"
    """The algorithm left it out without giving a reason."""


class Dropped(msgspec.Struct, frozen=True, eq=False):
    """A hit that was left out.

    Attributes:
        hit: The hit.
        reason: Why.
        of: Id of the better memory that says the same; None for every other reason.
    """

    hit: Hit
    reason: Drop
    of: str | None = None


class Selection(msgspec.Struct, frozen=True, eq=False):
    """What became of some hits.

    Attributes:
        kept: Those to go on with, in the order of injection.
        dropped: Those that were left out.
    """

    kept: tuple[Hit, ...]
    dropped: tuple[Dropped, ...] = ()

"""Whose words a memory holds. Pure."""

from collections.abc import Iterable
from typing import Final

from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import Trust

_RANKS: Final = {trust: rank for rank, trust in enumerate(Trust)}
_BY_ROLE: Final = {
    "assistant": Trust.MODEL,
    "model": Trust.MODEL,
    "tool": Trust.TOOL,
    "function": Trust.TOOL,
    "document": Trust.DOCUMENT,
}


def lowest(trusts: Iterable[Trust]) -> Trust:
    """Return the lowest of one or more trusts: ``direct_user`` is the highest, ``import`` the lowest."""
    return max(trusts, key=_RANKS.__getitem__)


def above(one: Trust, other: Trust) -> bool:
    """Return whether ``one`` is believed more than ``other``."""
    return _RANKS[one] < _RANKS[other]


def classify(draft: MemoryDraft) -> Trust:
    """Return how far a draft is to be believed: as far as it says, and no further than the role whose words it holds.

    A turn, question and answer together, is held to be the user's: the user has seen the answer and gone on.
    """
    role = (draft.role or "").strip().casefold()
    return lowest((draft.trust, _BY_ROLE.get(role, draft.trust)))

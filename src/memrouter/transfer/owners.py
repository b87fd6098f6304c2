"""Whose the memories of a file are to be."""

from collections.abc import Mapping

from msgspec.structs import replace

from memrouter.errors import InvalidRequest
from memrouter.models.memory import MemoryRecord, check_identity
from memrouter.transfer.reader import Claim


def chosen_owners(*, only: str | None, renamed: Mapping[str, str]) -> Claim:
    """Return the claim of an operator.

    Args:
        only: The one user of the file whose memories are taken; None for all.
        renamed: New owner for each user of the file that gets one.

    Raises:
        InvalidRequest: A new owner cannot be one.
    """
    for owner in renamed.values():
        check_identity(owner, param="map-user")

    def claim(record: MemoryRecord) -> MemoryRecord | None:
        if only is not None and record.user_id != only:
            return None
        owner = renamed.get(record.user_id)
        return record if owner is None else replace(record, user_id=owner)

    return claim


def own_memories(user_id: str, *, take_over: bool) -> Claim:
    """Return the claim of a user, who can bring in memories for nobody else.

    Args:
        user_id: The user.
        take_over: Whether memories of other owners become the user's; they are refused otherwise.
    """

    def claim(record: MemoryRecord) -> MemoryRecord:
        if record.user_id == user_id:
            return record
        if take_over:
            return replace(record, user_id=user_id)
        raise InvalidRequest("its user_id is not yours; pass map_user=true to take the memories as your own")

    return claim

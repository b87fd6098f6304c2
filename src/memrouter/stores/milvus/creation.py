"""``create``: which records of a call are new, which are there already, and which clash."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memrouter.models.memory import MemoryRecord
from memrouter.stores.milvus.rows import Held, digest_of
from memrouter.stores.milvus.state import OwnerState


@dataclass(slots=True)
class Creation:
    """What becomes of the records of one owner.

    Attributes:
        added: The records that are new.
        kept: For each record's id, the id under which its content is kept.
        taken: Ids that exist already.
    """

    added: list[MemoryRecord] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)


def sort_out(records: Sequence[MemoryRecord], state: OwnerState, *, unique_content: bool) -> Creation:
    """Return what becomes of the records of one owner; see ``MemoryStore.create``."""
    result = Creation()
    twins: dict[str, list[MemoryRecord]] = {}
    if unique_content:
        for held in state.memories.values():
            twins.setdefault(digest_of(held.record.content), []).append(held.record)
    for record in records:
        digest = digest_of(record.content) if unique_content else None
        twin = None if digest is None else _twin(record, twins.get(digest, ()))
        if twin is not None:
            result.kept[record.id] = twin
        elif record.id in state.memories:
            result.taken.append(record.id)
        else:
            result.added.append(record)
            result.kept[record.id] = record.id
            if digest is not None:
                twins.setdefault(digest, []).append(record)
    if result.taken:
        result.added = []
    return result


def doubles(added: Iterable[MemoryRecord], state: OwnerState) -> dict[str, str]:
    """Return which memories have to go because two routers kept the same content at once.

    Of two the lesser id stays, whichever router looks.

    Args:
        added: What was added as unique.
        state: What the owner was like after that, contents included.

    Returns:
        Ids that go, each with the id that stays.
    """
    going: dict[str, str] = {}
    by_digest: dict[str, list[Held]] = {}
    for held in state.memories.values():
        by_digest.setdefault(digest_of(held.record.content), []).append(held)
    for record in added:
        for other in by_digest.get(digest_of(record.content), ()):
            same = other.record.project_id == record.project_id and other.record.id != record.id
            if same and other.record.visible(record.created_at):
                going[max(other.record.id, record.id)] = min(other.record.id, record.id)
    return going


def _twin(record: MemoryRecord, others: Iterable[MemoryRecord]) -> str | None:
    for other in others:
        if other.project_id == record.project_id and other.visible(record.created_at):
            return other.id
    return None

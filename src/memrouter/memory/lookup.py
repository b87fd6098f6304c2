"""Finding one memory by its id, as its owner sees it."""

from memrouter.errors import InvalidRequest, NotFound
from memrouter.models.memory import MAX_ID_CHARS, MemoryRecord, Scope, check_identity
from memrouter.stores.base import MemoryStore


async def find(store: MemoryStore, scope: Scope, memory_id: str, *, now: int) -> MemoryRecord:
    """Return one memory, superseded, quarantined or not.

    Raises:
        NotFound: Absent, expired or someone else's.
    """
    check_id(memory_id)
    found = await store.get(scope, [memory_id], now=now)
    if not found:
        raise not_found()
    return found[0]


def check_id(memory_id: str) -> None:
    """Make sure that a memory can have this id, which an import may have brought from elsewhere.

    Raises:
        NotFound: None can have it.
    """
    try:
        check_identity(memory_id, param="id")
    except InvalidRequest:
        raise not_found() from None
    if len(memory_id) > MAX_ID_CHARS:
        raise not_found()


def not_found() -> NotFound:
    """Return the error for a memory that is absent or someone else's."""
    return NotFound("no memory has this id", param="id")

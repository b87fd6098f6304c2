"""The small facts beside the memories of one store into another: keys, switches, marks, reply chains."""

from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode
from memrouter.stores.state import LEASES


async def copy_state(source: MemoryStore, target: MemoryStore, *, mode: MergeMode, now: int, dry_run: bool) -> int:
    """Bring over every entry that the target does not have just so; return how many.

    Leases stay behind: they say what the source's routers do now. An entry that the target has otherwise is replaced,
    unless the mode is to skip: nothing says which of the two is newer. What only the target has stays.

    Args:
        source: Is only read.
        target: Takes the entries, with versions of its own.
        mode: What to do where the target has the key.
        now: Milliseconds since the epoch; what has expired by then stays behind.
        dry_run: Whether to write nothing and only count.

    Raises:
        StoreError: A store failed; doing it again changes nothing more.
    """
    brought = 0
    for space in [name async for name in source.state.spaces() if name != LEASES]:
        async for entry in source.state.entries(space, now=now):
            held = await target.state.get(space, entry.key, now=now)
            stays = held is not None and (
                mode is MergeMode.SKIP or (held.value, held.expires_at) == (entry.value, entry.expires_at)
            )
            if stays:
                continue
            if not dry_run:
                await target.state.put(space, entry.key, entry.value, now=now, expires_at=entry.expires_at)
            brought += 1
    return brought

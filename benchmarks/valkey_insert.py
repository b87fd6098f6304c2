"""Bulk insert: the store beside raw pipelined HSET through the same client, into the same index."""

from collections.abc import Mapping

from rich.console import Console

from benchmarks.memories import DIMENSION, MODEL, Memories
from benchmarks.raw import RawValkey
from benchmarks.report import Case, measure, show
from memrouter.config.memory import ValkeySettings
from memrouter.models.memory import owner_key
from memrouter.stores.valkey.rows import to_fields
from memrouter.stores.valkey.store import ValkeyStore

BATCH = 500
USERS = 10


async def insert(console: Console, settings: ValkeySettings, *, rounds: int) -> bool:
    """Write batches in turns into an empty server, print; return whether the target is kept."""
    store = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    raw = await RawValkey.open(settings)
    made, warm_up = Memories(), 2
    total = rounds + warm_up
    one_user = [made.of("bulk", BATCH) for _ in range(total)]
    several = [
        [memory for user in range(USERS) for memory in made.of(f"user{user}", BATCH // USERS)] for _ in range(total)
    ]
    unique = [made.of("unique", BATCH) for _ in range(total)]
    bare = [made.of("bare", BATCH) for _ in range(total)]
    hashes: list[list[tuple[str, Mapping[str, str | bytes]]]] = [
        [
            (
                f"{settings.collection_prefix}{{{owner_key(memory.user_id)}}}:{memory.id}",
                to_fields(memory, dimension=DIMENSION, embedding_model=MODEL),
            )
            for memory in batch
        ]
        for batch in bare
    ]

    async def raw_hashes(number: int) -> None:
        await raw.insert(hashes[number])

    async def of_one(number: int) -> object:
        return await store.create(one_user[number])

    async def of_several(number: int) -> object:
        return await store.create(several[number])

    async def of_unique(number: int) -> object:
        return await store.create(unique[number], unique_content=True)

    cases = [
        Case("raw pipelined HSET of fields made before", raw_hashes),
        Case("store.create, one user", of_one, target=0.5),
        Case(f"store.create, {USERS} users", of_several, target=0.5),
        Case("store.create, one user, unique_content", of_unique),
    ]
    await measure(cases, rounds=rounds, warm_up=warm_up)
    await raw.aclose()
    await store.aclose()
    return show(console, f"Insert in batches of {BATCH}, {DIMENSION} dimensions", cases, per_round=BATCH)

"""Retrieval: the store and the memory service beside raw FT.SEARCH through the same client."""

import random

from rich.console import Console

from benchmarks.memories import DIMENSION, EPOCH, MODEL, Memories
from benchmarks.raw import RawValkey
from benchmarks.report import Case, measure, show
from memrouter.clock import SystemClock
from memrouter.config.memory import ValkeySettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.models.memory import Scope
from memrouter.stores.query import StoreQuery
from memrouter.stores.valkey.packed import PACKED_FIELDS
from memrouter.stores.valkey.store import ValkeyStore

PER_USER = 100
K = 20
SCAN_LIMIT = 2_000
LATER = EPOCH + 10**9
USERS_PER_FILL = 10


async def retrieval(console: Console, settings: ValkeySettings, *, memories: int, rounds: int) -> bool:
    """Fill an empty server with ``memories`` of PER_USER a user, measure, print; return whether the target is kept."""
    store = await ValkeyStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
    raw = await RawValkey.open(settings)
    made, users = Memories(), [f"user{number}" for number in range(memories // PER_USER)]
    for first in range(0, len(users), USERS_PER_FILL):
        await store.create(
            [memory for user in users[first : first + USERS_PER_FILL] for memory in made.of(user, PER_USER)]
        )
    await raw.indexed(memories)
    vectors = [made.vector() for _ in range(64)]
    questions = [made.words(8) for _ in range(64)]
    order = random.Random(2).choices(users, k=rounds + 1_000)
    retriever = Retriever(
        store=store,
        embedder=HashEmbedder(DIMENSION),
        working_set=WorkingSet(max_bytes=2**30),
        analyzer=Analyzer(),
        clock=SystemClock(),
        scan_limit=SCAN_LIMIT,
    )
    policy = RecallPolicy(limit=K, threshold=0.0, adaptive=False)

    def query(number: int, *, scan_limit: int) -> StoreQuery:
        return StoreQuery(vector=vectors[number % len(vectors)], k=K, now=LATER, scan_limit=scan_limit)

    async def bare(number: int) -> object:
        return await raw.nearest(order[number], vectors[number % len(vectors)], k=K, fields=PACKED_FIELDS)

    async def bare_hash(number: int) -> object:
        return await raw.nearest(order[number], vectors[number % len(vectors)], k=K)

    async def nearest(number: int) -> object:
        return await store.search(Scope(order[number]), query(number, scan_limit=0))

    async def whole(number: int) -> object:
        return await store.search(Scope(order[number]), query(number, scan_limit=SCAN_LIMIT))

    async def recalled(number: int) -> object:
        return await retriever.recall(Scope(order[number]), questions[number % len(questions)], policy)

    await bare_equals_ours(raw, store, order[0], query(0, scan_limit=0))
    for user in users:  # so that the working set is as it is after some time
        await retriever.recall(Scope(user), questions[0], policy)
    cases = [
        Case(f"raw FT.SEARCH, KNN {K} of one user, as it is: whole HASHes", bare_hash),
        Case(f"raw FT.SEARCH, KNN {K} of one user, only the packed fields that the store reads", bare),
        Case("store.search, nearest vectors", nearest, target=1.30),
        Case(f"store.search, all {PER_USER} of the user with scores", whole),
        Case("recall: vectors and words ranked, working set warm", recalled),
    ]
    await measure(cases, rounds=rounds, warm_up=min(50, rounds))
    await raw.aclose()
    await store.aclose()
    title = f"Retrieval from {memories:,} memories, {PER_USER} a user, {DIMENSION} dimensions"
    return show(console, title, cases)


async def bare_equals_ours(raw: RawValkey, store: ValkeyStore, user: str, query: StoreQuery) -> None:
    """Check that both ways give the same memories, or the comparison means nothing."""
    assert query.vector is not None
    bare = await raw.nearest(user, query.vector, k=query.k)
    ours = (await store.search(Scope(user), query)).records or ()
    assert {row[b"id"].decode() for row in bare[1].values()} == {record.id for record in ours}
    assert len(ours) == K

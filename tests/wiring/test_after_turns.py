"""When finished turns are stored: together and in quiet."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from memrouter.config.settings import Settings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.writer import FinishedTurn
from memrouter.models.memory import MemoryType, Scope, Source
from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import NOT_TRACED
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.wiring import after_turns
from memrouter.wiring.after_turns import AfterTurns
from memrouter.wiring.foundation import Foundation
from memrouter.wiring.memory_service import open_memory_service

EMBEDDER = HashEmbedder(64)


def said(user: str, text: str) -> FinishedTurn:
    draft = MemoryDraft(text, MemoryType.EPISODIC, source=Source.CONVERSATION, role="turn")
    return FinishedTurn(Scope(user), lambda: (draft,), begun_at=1)


async def stored(store: SqliteStore, user: str, number: int) -> None:
    """Return when so many memories of a user are kept."""
    async with asyncio.timeout(20):
        while await store.count(user) < number:
            await asyncio.sleep(0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    settings = Settings.model_validate({"global": {"stores": {"memory": {"sqlite": {"path": str(tmp_path / "m.db")}}}}})
    store = await SqliteStore.open(settings.memory.sqlite, dimension=64, embedding_model=EMBEDDER.info.model)
    yield store
    await store.aclose()


@pytest.fixture
async def after(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AfterTurns]:
    """Open what would wait for a minute of quiet."""
    monkeypatch.setattr(after_turns, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(after_turns, "PATIENCE_SECONDS", 60.0)
    async with AsyncExitStack() as closing:
        base = Foundation(
            settings=Settings(),
            metrics=Metrics(),
            tracer=NOT_TRACED,
            clock=ManualClock(),
            rng=random.Random(1),
            closing=closing,
        )
        memory = await open_memory_service(base, store, embedder=EMBEDDER, analyzer=Analyzer(), env={})
        yield AfterTurns(base, memory, store, None, seconds_left=lambda: 30.0)


async def test_turns_that_wait_for_quiet_are_stored_before_the_router_closes(
    after: AfterTurns, store: SqliteStore
) -> None:
    for number in range(3):
        after.turns.offer(said(f"user{number}", f"My cat number {number} likes tuna."))
    assert await after.turns.drain(30) == 0
    assert [await store.count(f"user{number}") for number in range(3)] == [1, 1, 1]


async def test_a_whole_batch_is_stored_without_waiting(after: AfterTurns, store: SqliteStore) -> None:
    for number in range(after_turns.MOST_TOGETHER):
        after.turns.offer(said("anna", f"My cat number {number} likes tuna."))
    await stored(store, "anna", after_turns.MOST_TOGETHER)
    assert after.turns.depth == 0


async def test_what_was_stored_is_in_the_kept_memories_before_the_next_question(
    after: AfterTurns, store: SqliteStore
) -> None:
    assert after.writer is not None
    memory, scope = after.writer._service, Scope("anna")
    for text in ("My cat Luna likes tuna.", "My sister Vera lives in Oslo."):
        after.turns.offer(said("anna", text))
    assert await after.turns.drain(30) == 0
    await memory.recall(scope, "What does my cat like?", RecallPolicy(limit=5, threshold=0.5))
    after.turns.offer(said("anna", "My dog Rex likes bones."))
    assert await after.turns.drain(30) == 0
    (held,) = memory._retriever._working_set._kept.values()
    assert {"My dog Rex likes bones.", "My cat Luna likes tuna."} < {record.content for record in held.records}


async def test_the_count_of_stored_turns_never_goes_down(after: AfterTurns) -> None:
    def stored_turns() -> float:
        lines = after._base.metrics.render().decode().splitlines()
        (value,) = (line.split()[1] for line in lines if line.startswith("memrouter_store_queue_done_total "))
        return float(value)

    told = []
    for number in range(3):
        for user in ("anna", "bob"):
            after.turns.offer(said(user, f"My cat number {number} likes tuna."))
        after.turns.offer(FinishedTurn(Scope("cleo"), tuple, begun_at=1))
        storing = asyncio.create_task(after.turns.drain(30))
        while not storing.done():
            told.append(stored_turns())
            await asyncio.sleep(0)
    assert told == sorted(told)
    assert stored_turns() == 6


async def test_a_question_while_a_turn_is_being_stored_does_not_read_everything_anew(
    after: AfterTurns, store: SqliteStore
) -> None:
    assert after.writer is not None
    memory, scope = after.writer._service, Scope("anna")
    kept, policy = memory._retriever._working_set, RecallPolicy(limit=5, threshold=0.5)
    for number in range(20):
        after.turns.offer(said("anna", f"My cat number {number} likes tuna."))
        assert await after.turns.drain(30) == 0
        await memory.recall(scope, "What does my cat like?", policy)
        read = kept.misses
        after.turns.offer(said("anna", f"My dog number {number} likes bones."))
        storing = asyncio.create_task(after.turns.drain(30))
        while not storing.done():
            await memory.recall(scope, "What does my dog like?", policy)
            await asyncio.sleep(0)
        assert kept.misses == read
        assert len((await memory.recall(scope, f"My dog number {number}", policy)).hits) > 0

"""What runs behind the queue of finished turns."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import pytest

from memrouter.config.memory import MemorySettings
from memrouter.errors import EmbeddingError, StoreUnavailable
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.writer import FinishedTurn, TurnWriter
from memrouter.models.memory import Matrix, MemoryRecord, Scope
from memrouter.observability.metrics import Metrics
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import Change
from memrouter.testing.clock import ManualClock

from ..gates import ANNA, CountingEmbedder, open_store, turn

TURN = FinishedTurn(ANNA, lambda: (turn("My cat Luna likes tuna more than chicken."),), begun_at=1)


REFUSED = "mallory"


class Calls(CountingEmbedder):
    """Counts its calls, too, and refuses the texts of one user."""

    calls = 0

    async def embed(self, texts: Sequence[str]) -> Matrix:
        self.calls += 1
        if any(REFUSED in text for text in texts):
            raise EmbeddingError("refused")
        return await super().embed(texts)


class Flaky(InstrumentedStore):
    """Loses the answer to the first commit."""

    lost = True
    """Whether that has happened already, or is not to happen."""

    async def commit(self, change: Change) -> int | None:
        made = await super().commit(change)
        if not self.lost:
            self.lost = True
            raise StoreUnavailable("lost")
        return made


@pytest.fixture
def embedder() -> Calls:
    return Calls()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Flaky]:
    async with open_store(tmp_path) as inner:
        yield Flaky(inner, observer=Metrics(), clock=ManualClock())


@pytest.fixture
def service(store: Flaky, embedder: Calls) -> MemoryService:
    clock = ManualClock()
    retriever = Retriever(
        store=store,
        embedder=embedder,
        working_set=WorkingSet(max_bytes=1 << 20),
        analyzer=Analyzer(),
        clock=clock,
        scan_limit=100,
    )
    return MemoryService.configured(
        MemorySettings(), store=store, embedder=embedder, retriever=retriever, clock=clock, rng=Random(1)
    )


async def test_a_turn_that_is_tried_again_is_embedded_and_stored_once(
    service: MemoryService, store: Flaky, embedder: Calls
) -> None:
    store.lost = False
    told: list[MemoryRecord] = []
    writer = TurnWriter(service=service, metrics=Metrics(), on_stored=told.append)
    with pytest.raises(StoreUnavailable):
        await writer.store(TURN)
    await writer.store(TURN)
    (kept,) = (await service.list(ANNA)).records
    assert [record.id for record in told] == [kept.id]
    assert len(embedder.texts) == 1


async def test_nothing_is_stored_for_a_user_for_whom_saving_is_off(service: MemoryService) -> None:
    metrics = Metrics()
    await service.switches.set("anna", saving=False)
    await TurnWriter(service=service, metrics=metrics).store(TURN)
    assert (await service.list(ANNA)).total == 0
    assert b'turns_skipped_total{reason="saving_off"} 1.0' in metrics.render()


async def test_a_turn_of_low_information_is_counted_and_not_stored(service: MemoryService) -> None:
    metrics = Metrics()
    writer = TurnWriter(service=service, metrics=metrics)
    nothing = FinishedTurn(ANNA, lambda: (), begun_at=1)
    assert await writer.store_all([nothing, TURN]) == [None, None]
    assert (await service.list(ANNA)).total == 1
    assert writer.done == 1
    assert b'turns_skipped_total{reason="low_information"} 1.0' in metrics.render()


async def test_a_turn_whose_memories_cannot_be_made_fails_alone(service: MemoryService) -> None:
    broken = FinishedTurn(Scope("bob"), lambda: [turn(f"{1 // 0}")], begun_at=1)
    writer = TurnWriter(service=service, metrics=Metrics())
    failures = await writer.store_all([broken, TURN])
    assert [type(failure) for failure in failures] == [ZeroDivisionError, type(None)]
    assert writer.done == 1
    assert (await service.list(ANNA)).total == 1


def said(user: str, text: str, index: int = 0) -> FinishedTurn:
    return FinishedTurn(Scope(user), lambda: (turn(text, index),), begun_at=1)


async def test_turns_of_several_users_are_embedded_in_one_call(service: MemoryService, embedder: Calls) -> None:
    writer = TurnWriter(service=service, metrics=Metrics())
    turns = [said(f"user{number}", f"My cat number {number} likes tuna.") for number in range(5)]
    assert await writer.store_all(turns) == [None] * 5
    assert embedder.calls == 1
    for number in range(5):
        page = await service.list(Scope(f"user{number}"))
        assert [record.content for record in page.records] == [f"My cat number {number} likes tuna."]


async def test_a_users_turns_are_stored_in_their_order(service: MemoryService, store: Flaky) -> None:
    store.lost = False
    told: list[str] = []
    writer = TurnWriter(service=service, metrics=Metrics(), on_stored=lambda record: told.append(record.content))
    texts = [f"My cat number {number} likes tuna." for number in range(4)]
    turns = [said("anna", text, number) for number, text in enumerate(texts)]
    failures = await writer.store_all(turns)
    assert [type(failure) for failure in failures] == [StoreUnavailable, *[type(None)] * 3]
    assert told == texts[1:]


async def test_a_text_that_cannot_be_embedded_fails_its_own_turn_alone(service: MemoryService, embedder: Calls) -> None:
    writer = TurnWriter(service=service, metrics=Metrics())
    turns = [said(user, f"{user} likes tuna more than chicken.") for user in ("anna", REFUSED, "bob")]
    good, bad, other = await writer.store_all(turns)
    assert (good, other) == (None, None)
    assert isinstance(bad, EmbeddingError)
    assert [(await service.list(turn.scope)).total for turn in turns] == [1, 0, 1]


async def test_of_turns_that_are_tried_again_each_is_embedded_and_stored_once(
    service: MemoryService, store: Flaky, embedder: Calls
) -> None:
    store.lost = False
    writer = TurnWriter(service=service, metrics=Metrics())
    turns = [said(user, f"{user} likes tuna more than chicken.") for user in ("anna", "bob")]
    failures = await writer.store_all(turns)
    assert sum(failure is not None for failure in failures) == 1  # its commit was made and the answer lost
    assert await writer.store_all(turns) == [None, None]
    assert len(embedder.texts) == 2
    assert [(await service.list(turn.scope)).total for turn in turns] == [1, 1]


async def test_saving_that_is_off_for_one_user_keeps_nobody_else_from_being_remembered(service: MemoryService) -> None:
    writer = TurnWriter(service=service, metrics=Metrics())
    await service.switches.set("anna", saving=False)
    turns = [said(user, f"{user} likes tuna more than chicken.") for user in ("anna", "bob")]
    assert await writer.store_all(turns) == [None, None]
    assert [(await service.list(turn.scope)).total for turn in turns] == [0, 1]

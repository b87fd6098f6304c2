"""What runs behind the queue of finished turns."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from memrouter.config.memory import MemorySettings
from memrouter.errors import StoreUnavailable
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.writer import FinishedTurn, TurnWriter
from memrouter.models.memory import MemoryRecord
from memrouter.observability.metrics import Metrics
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import Change
from memrouter.testing.clock import ManualClock

from ..gates import ANNA, CountingEmbedder, open_store, turn

TURN = FinishedTurn(ANNA, (turn("My cat Luna likes tuna more than chicken."),), begun_at=1)


class Flaky(InstrumentedStore):
    """Loses the answer to the first commit."""

    lost = False

    async def commit(self, change: Change) -> int | None:
        made = await super().commit(change)
        if not self.lost:
            self.lost = True
            raise StoreUnavailable("lost")
        return made


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
async def service(tmp_path: Path, embedder: CountingEmbedder) -> AsyncIterator[MemoryService]:
    clock = ManualClock()
    async with open_store(tmp_path) as inner:
        store = Flaky(inner, observer=Metrics(), clock=clock)
        retriever = Retriever(
            store=store,
            embedder=embedder,
            working_set=WorkingSet(max_bytes=1 << 20),
            analyzer=Analyzer(),
            clock=clock,
            scan_limit=100,
        )
        yield MemoryService.configured(
            MemorySettings(), store=store, embedder=embedder, retriever=retriever, clock=clock, rng=Random(1)
        )


async def test_a_turn_that_is_tried_again_is_embedded_and_stored_once(
    service: MemoryService, embedder: CountingEmbedder
) -> None:
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

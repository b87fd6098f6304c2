"""How full the store's server is becomes a metric, as soon as the server has said so and no sooner."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import StoreUnavailable
from memrouter.jobs.pressure_gauge import PressureGauge
from memrouter.observability.metrics import Metrics
from memrouter.stores.pressure import Pressure
from memrouter.stores.sqlite.store import SqliteStore


class Full(SqliteStore):
    """A store whose server answers what a test says, then waits."""

    answers: "asyncio.Queue[Pressure | Exception | None]"
    asked: int

    async def pressure(self) -> Pressure | None:
        self.asked += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Full]:
    settings = SqliteSettings(path=str(tmp_path / "m.db"), synchronous="normal")
    opened = await Full.open(settings, dimension=4, embedding_model="test")
    assert isinstance(opened, Full)
    opened.answers, opened.asked = asyncio.Queue(), 0
    yield opened
    await opened.aclose()


async def asked(store: Full, times: int) -> None:
    async with asyncio.timeout(20):
        while store.asked < times:
            await asyncio.sleep(0)


async def test_the_latest_answer_is_shown_and_a_failure_keeps_it(store: Full) -> None:
    metrics = Metrics()
    gauge = PressureGauge(metrics, seconds=0)
    gauge.follow(store)
    gauge.follow(store)
    store.answers.put_nowait(None)
    store.answers.put_nowait(StoreUnavailable("down"))
    await asked(store, 3)
    assert b"memrouter_store_memory" not in metrics.render()
    store.answers.put_nowait(Pressure(5, 10))
    store.answers.put_nowait(Pressure(6, 12))
    store.answers.put_nowait(StoreUnavailable("down"))
    await asked(store, 6)
    assert b"memrouter_store_memory_bytes 6.0\n" in metrics.render()
    assert b"memrouter_store_memory_limit_bytes 12.0\n" in metrics.render()
    await gauge.aclose()
    await gauge.aclose()
    assert store.asked == 6


async def test_a_store_without_a_server_is_not_asked(tmp_path: Path) -> None:
    settings = SqliteSettings(path=str(tmp_path / "m.db"), synchronous="normal")
    plain = await SqliteStore.open(settings, dimension=4, embedding_model="test")
    gauge = PressureGauge(Metrics())
    gauge.follow(plain)
    await gauge.aclose()
    await plain.aclose()

import asyncio
import random
from pathlib import Path

import pytest

from memrouter.clock import SystemClock
from memrouter.config.memory import MemorySettings, SqliteSettings
from memrouter.evaluation.bench import Bench, StudyClock, open_bench
from memrouter.evaluation.conversations import DataSet
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import Scope
from memrouter.testing.clock import ManualClock


async def kept(settings: MemorySettings) -> int:
    """Return how many memories the store of ``settings`` holds."""
    opening = open_bench(settings, temporary=False, env={}, clock=SystemClock(), rng=random.Random(2))
    async with opening as bench:
        return await bench.store.count(None)


def named_store(tmp_path: Path) -> MemorySettings:
    return MemorySettings(sqlite=SqliteSettings(path=str(tmp_path / "in-use.db")))


async def test_every_turn_is_one_memory_with_its_time_and_place(bench: Bench, sample: DataSet) -> None:
    conversation = sample.conversations[0]
    scope = bench.scope("ann")
    names = await bench.fill(scope, conversation.utterances)
    page = await bench.service().list(scope, limit=1000)
    found = {
        names[record.id]: (record.content, record.created_at, record.conversation_id, record.turn_index)
        for record in page.records
    }
    assert found == {one.id: (one.text, one.at, one.session, one.index) for one in conversation.utterances}


async def test_a_turn_said_twice_is_two_memories(bench: Bench, sample: DataSet) -> None:
    scope = bench.scope("ann")
    turn = sample.conversations[0].utterances[0]
    names = await bench.fill(scope, [turn, turn])
    assert len(names) == 2
    assert (await bench.service().stats(scope)).total == 2


async def test_a_store_in_use_is_left_as_it_was(tmp_path: Path, sample: DataSet) -> None:
    settings = named_store(tmp_path)
    opening = open_bench(settings, temporary=False, env={}, clock=SystemClock(), rng=random.Random(1))
    async with opening as bench:
        await bench.service().remember(Scope("someone in use"), [MemoryDraft(content="I live in Lisbon.")])
        await bench.fill(bench.scope("ann"), sample.conversations[0].utterances)
        await bench.fill(bench.scope("ann", "other project"), sample.conversations[1].utterances)
        assert await bench.store.count(None) > 1
    assert await kept(settings) == 1


async def test_a_study_that_fails_leaves_nothing_either(tmp_path: Path, sample: DataSet) -> None:
    settings = named_store(tmp_path)
    opening = open_bench(settings, temporary=False, env={}, clock=SystemClock(), rng=random.Random(1))

    async def study() -> None:
        async with opening as bench:
            await bench.fill(bench.scope("ann"), sample.conversations[0].utterances)
            assert await bench.store.count(None) > 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await study()
    assert await kept(settings) == 0


async def test_two_benches_on_one_store_have_users_of_their_own(tmp_path: Path) -> None:
    rng = random.SystemRandom()
    settings = named_store(tmp_path)
    async with (
        open_bench(settings, temporary=False, env={}, clock=SystemClock(), rng=rng) as one,
        open_bench(settings, temporary=False, env={}, clock=SystemClock(), rng=rng) as other,
    ):
        assert one.scope("ann").user_id != other.scope("ann").user_id


async def test_a_temporary_store_is_a_file_that_is_gone_afterwards() -> None:
    opening = open_bench(MemorySettings(), temporary=True, env={}, clock=SystemClock(), rng=random.Random(1))
    async with opening as bench:
        path = Path(bench.settings.sqlite.path)
        assert path.exists()
    assert not path.parent.exists()


async def test_a_temporary_store_is_sqlite_whatever_is_configured() -> None:
    settings = MemorySettings(backend="valkey")
    opening = open_bench(settings, temporary=True, env={}, clock=SystemClock(), rng=random.Random(1))
    async with opening as bench:
        assert bench.store.capabilities.backend == "sqlite"


async def test_a_service_can_be_told_to_let_the_store_search(bench: Bench, sample: DataSet) -> None:
    scope = bench.scope("ann")
    told = [*sample.conversations, *sample.conversations]  # more than the store gives as candidates
    for conversation in told:
        await bench.fill(scope, conversation.utterances)
    policy = RecallPolicy(limit=1, threshold=0)
    whole = await bench.service().recall(scope, "the kiln", policy)
    near = await bench.service(scan_limit=0).recall(scope, "the kiln", policy)
    assert whole.considered == sum(len(conversation.utterances) for conversation in told)
    assert near.considered < whole.considered


def test_the_clock_tells_what_was_set_and_real_durations() -> None:
    inner = ManualClock(5000)
    clock = StudyClock(inner)
    clock.ms = 7
    inner.ms = 9000
    assert (clock.now_ms(), clock.monotonic()) == (7, 9.0)


async def test_a_study_that_is_interrupted_leaves_nothing_either(tmp_path: Path, sample: DataSet) -> None:
    settings = named_store(tmp_path)
    stored = asyncio.Event()

    async def study() -> None:
        opening = open_bench(settings, temporary=False, env={}, clock=SystemClock(), rng=random.Random(1))
        async with opening as bench:
            await bench.fill(bench.scope("ann"), sample.conversations[0].utterances)
            stored.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(study())
    await stored.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await kept(settings) == 0

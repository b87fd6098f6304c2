"""One router of a fleet at a time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.jobs.lease import LEASE_MS, Lease
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.state import LEASES, StateStore
from memrouter.testing.clock import ManualClock


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[StateStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    store = await SqliteStore.open(settings, dimension=4, embedding_model="test")
    yield store.state
    await store.aclose()


def leases(state: StateStore, clock: ManualClock) -> tuple[Lease, Lease]:
    return Lease("work", holder="a", state=state, clock=clock), Lease("work", holder="b", state=state, clock=clock)


async def test_only_one_holds_it_until_it_is_given_back(state: StateStore) -> None:
    one, other = leases(state, ManualClock())
    assert await one.acquire()
    assert not await other.acquire()
    assert (one.held, other.held) == (True, False)
    await one.release()
    assert not one.held
    assert await other.acquire()


async def test_a_later_holder_has_a_higher_token(state: StateStore) -> None:
    clock = ManualClock()
    one, other = leases(state, clock)
    await one.acquire()
    clock.ms += LEASE_MS
    assert await other.acquire()
    assert other.token > one.token > 0


async def test_a_holder_that_slept_too_long_learns_that_it_lost_it(state: StateStore) -> None:
    clock = ManualClock()
    one, other = leases(state, clock)
    await one.acquire()
    clock.ms += LEASE_MS
    await other.acquire()
    assert not await one.keep()
    await one.release()
    entry = await state.get(LEASES, "work", now=clock.ms)
    assert entry is not None
    assert entry.value == b"b"


async def test_a_holder_that_works_keeps_it_for_as_long_as_it_likes(state: StateStore) -> None:
    clock = ManualClock()
    one, other = leases(state, clock)
    await one.acquire()
    for _ in range(10):
        clock.ms += LEASE_MS // 2
        assert await one.keep()
        assert not await other.acquire()


async def test_a_lease_that_somebody_removed_is_noticed_when_it_is_renewed(state: StateStore) -> None:
    clock = ManualClock()
    one, _ = leases(state, clock)
    await one.acquire()
    await state.drop(LEASES)
    assert await one.keep()
    clock.ms += LEASE_MS // 2
    assert not await one.keep()
    assert not one.held

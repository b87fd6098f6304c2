from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.errors import Forbidden
from memrouter.memory.switches import KEPT_MS, MAX_KEPT, Switches, UserSwitches
from memrouter.models.memory import owner_key
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock

from .gates import open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_both_are_on_where_nobody_switched_them(store: SqliteStore, clock: ManualClock) -> None:
    switches = UserSwitches(store.state, clock)
    assert await switches.of("anna") == Switches(saving=True, recall=True)
    await switches.require_saving("anna")


async def test_saving_and_recall_are_switched_apart_and_for_one_user(store: SqliteStore, clock: ManualClock) -> None:
    switches = UserSwitches(store.state, clock)
    assert await switches.set("anna", saving=False) == Switches(saving=False, recall=True)
    assert await switches.set("anna", recall=False) == Switches(saving=False, recall=False)
    assert await switches.set("anna", saving=True) == Switches(saving=True, recall=False)
    assert await switches.of("Anna") == Switches()


async def test_this_router_notices_at_once_and_another_one_after_ten_seconds(
    store: SqliteStore, clock: ManualClock
) -> None:
    here, there = UserSwitches(store.state, clock), UserSwitches(store.state, clock)
    assert (await there.of("anna")).saving
    await here.set("anna", saving=False)
    assert not (await here.of("anna")).saving
    clock.ms += KEPT_MS - 1
    assert (await there.of("anna")).saving
    clock.ms += 1
    with pytest.raises(Forbidden) as fault:
        await there.require_saving("anna")
    assert fault.value.code == "saving_off"


async def test_hostile_numbers_of_users_take_bounded_memory(store: SqliteStore, clock: ManualClock) -> None:
    switches = UserSwitches(store.state, clock)
    for number in range(MAX_KEPT + 100):
        switches._keep(owner_key(str(number)), Switches())
    assert len(switches._kept) == MAX_KEPT


async def test_switches_are_at_hand_once_they_were_read_and_until_they_are_old(
    store: SqliteStore, clock: ManualClock
) -> None:
    switches = UserSwitches(store.state, clock)
    assert switches.at_hand("anna") is None
    await switches.set("anna", recall=False)
    assert switches.at_hand("anna") == Switches(recall=False)
    assert switches.at_hand("Anna") is None
    clock.ms += KEPT_MS
    assert switches.at_hand("anna") is None

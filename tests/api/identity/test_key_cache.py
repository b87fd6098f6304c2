"""Keys at hand: how long, for whom, and what happens while nobody can be asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from memrouter.api.identity.api_key import ApiKey
from memrouter.api.identity.key_cache import KeyCache
from memrouter.api.identity.key_keeper import KeptKey, KeyKeeper
from memrouter.api.identity.key_state import KeyState
from memrouter.errors import StoreUnavailable
from memrouter.stores.base import MemoryStore
from memrouter.testing.clock import ManualClock

from .test_key_keepers import new_key


class Faulty:
    """A real keeper whose answers a test can hold back or make fail."""

    def __init__(self, inner: KeyKeeper) -> None:
        self._inner = inner
        self.asked = 0
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, key_id: str) -> ApiKey | None:
        self.asked += 1
        await self._pass()
        return await self._inner.get(key_id)

    async def all(self) -> list[KeptKey]:
        return await self._inner.all()

    async def add(self, key: ApiKey) -> None:
        await self._inner.add(key)

    async def remove(self, key_id: str) -> bool:
        return await self._inner.remove(key_id)

    async def note_use(self, key_id: str) -> None:
        await self._pass()
        await self._inner.note_use(key_id)

    async def _pass(self) -> None:
        await self.gate.wait()
        if self.down:
            raise StoreUnavailable("down")


@pytest.fixture
def keeper(store: MemoryStore, clock: ManualClock) -> Faulty:
    return Faulty(KeyState(store.state, clock=clock))


@pytest.fixture
async def cache(keeper: Faulty, clock: ManualClock) -> AsyncIterator[KeyCache]:
    cache = KeyCache(keeper, seconds=5, grace=60, clock=clock)
    yield cache
    await cache.aclose()


@pytest.fixture
async def key(keeper: Faulty) -> ApiKey:
    made = new_key()
    await keeper.add(made)
    return made


async def test_a_key_is_asked_for_once_in_its_time(
    keeper: Faulty, cache: KeyCache, key: ApiKey, clock: ManualClock
) -> None:
    assert [await cache.find(key.id) for _ in range(3)] == [key] * 3
    clock.ms += 4_999
    await cache.find(key.id)
    assert keeper.asked == 1
    clock.ms += 1
    assert await cache.find(key.id) == key
    assert keeper.asked == 2


async def test_a_revoked_key_works_no_longer_than_it_is_at_hand(
    keeper: Faulty, cache: KeyCache, key: ApiKey, clock: ManualClock
) -> None:
    await cache.find(key.id)
    await keeper.remove(key.id)
    assert await cache.find(key.id) == key
    clock.ms += 5_000
    assert await cache.find(key.id) is None


async def test_a_key_made_after_it_was_asked_for_works_at_once(keeper: Faulty, cache: KeyCache) -> None:
    late = new_key()
    assert await cache.find(late.id) is None
    await keeper.add(late)
    assert await cache.find(late.id) == late


async def test_known_keys_go_on_working_for_a_while_without_the_store(
    keeper: Faulty, cache: KeyCache, key: ApiKey, clock: ManualClock
) -> None:
    await cache.find(key.id)
    keeper.down = True
    clock.ms += 65_000
    assert await cache.find(key.id) == key
    with pytest.raises(StoreUnavailable):
        await cache.find("a" * 12)
    clock.ms += 1
    with pytest.raises(StoreUnavailable):
        await cache.find(key.id)
    keeper.down = False
    assert await cache.find(key.id) == key


async def test_while_one_asks_the_others_take_what_is_known(
    keeper: Faulty, cache: KeyCache, key: ApiKey, clock: ManualClock
) -> None:
    await cache.find(key.id)
    clock.ms += 6_000
    keeper.gate.clear()
    asking = asyncio.create_task(cache.find(key.id))
    while keeper.asked < 2:
        await asyncio.sleep(0)
    assert [await cache.find(key.id) for _ in range(5)] == [key] * 5
    assert keeper.asked == 2
    keeper.gate.set()
    assert await asking == key


async def test_the_last_use_is_noted_at_most_every_ten_minutes(
    keeper: Faulty, cache: KeyCache, key: ApiKey, clock: ManualClock
) -> None:
    async def last_used() -> int | None:
        return (await keeper.all())[0].last_used

    async def use() -> None:
        await cache.find(key.id)
        cache.note_use(key.id)
        await asyncio.gather(*cache._notes)

    await use()
    first = clock.now_ms()
    assert await last_used() == first
    clock.ms += 599_999
    await use()
    assert await last_used() == first
    clock.ms += 1
    await use()
    assert await last_used() == first + 600_000


async def test_a_use_that_cannot_be_noted_harms_nobody(
    keeper: Faulty, cache: KeyCache, key: ApiKey, caplog: pytest.LogCaptureFixture
) -> None:
    await cache.find(key.id)
    keeper.down = True
    cache.note_use(key.id)
    await asyncio.gather(*cache._notes)
    assert "could not be noted" in caplog.text
    assert key.id not in caplog.text


async def test_closing_does_not_wait_for_notes(keeper: Faulty, cache: KeyCache, key: ApiKey) -> None:
    await cache.find(key.id)
    keeper.gate.clear()
    cache.note_use(key.id)
    await asyncio.sleep(0)
    await cache.aclose()
    assert (await keeper.all())[0].last_used is None

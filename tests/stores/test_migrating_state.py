"""Facts beside the memories while those move: one store decides, the other one follows."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import StoreUnavailable
from memrouter.stores import state_mirror
from memrouter.stores.base import MemoryStore
from memrouter.stores.migrating import MigratingStore
from memrouter.stores.mirror import Mirror
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.state import LEASES, StateStore
from memrouter.stores.state_mirror import StateMirror
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import NOW


class Down:
    """A state that cannot be reached."""

    def __getattr__(self, name: str) -> Any:
        raise StoreUnavailable("switched off")


class Side:
    """One of the two stores; its state cannot be reached while it is down."""

    def __init__(self, inner: SqliteStore) -> None:
        self.inner = inner
        self.down = False

    @property
    def store(self) -> MemoryStore:
        return cast("MemoryStore", self)

    @property
    def state(self) -> StateStore:
        return cast("StateStore", Down()) if self.down else self.inner.state

    @property
    def aclose(self) -> Any:
        return self.inner.aclose


class House:
    """Two stores and the one that stands for both."""

    def __init__(self, old: SqliteStore, new: SqliteStore) -> None:
        self.old, self.new = Side(old), Side(new)
        self.clock = ManualClock(NOW)
        self.mirror = Mirror(self.old.store, self.new.store)
        self.store = MigratingStore(self.old.store, self.new.store, self.mirror, clock=self.clock)
        self.state = self.store.state

    def another(self) -> StateStore:
        """Return what another router has."""
        mirror = Mirror(self.old.store, self.new.store)
        mirror.start()
        return MigratingStore(self.old.store, self.new.store, mirror, clock=self.clock).state


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = [
        await SqliteStore.open(
            SqliteSettings(path=str(tmp_path / f"{name}.db"), synchronous="normal"), dimension=4, embedding_model="m"
        )
        for name in ("old", "new")
    ]
    house = House(*opened)
    yield house
    await house.store.aclose()


async def kept(side: Side) -> dict[tuple[str, str], bytes]:
    state = side.inner.state
    return {
        (space, entry.key): entry.value
        async for space in state.spaces()
        async for entry in state.entries(space, now=NOW)
    }


async def test_nothing_is_written_to_the_new_store_before_the_start(house: House) -> None:
    await house.state.put("space", "key", b"1", now=NOW)
    assert await kept(house.new) == {}
    assert house.store.facts.dirty == 0


async def test_a_write_is_in_both_stores_when_it_returns(house: House) -> None:
    house.mirror.start()
    first = await house.state.put("space", "a", b"1", now=NOW, expires_at=NOW + 9)
    await house.state.put("space", "b", b"2", now=NOW)
    assert await house.state.put("space", "a", b"no", now=NOW, if_version=0) is None
    assert await kept(house.new) == {("space", "a"): b"1", ("space", "b"): b"2"}
    entry = await house.new.inner.state.get("space", "a", now=NOW)
    assert entry is not None
    assert entry.expires_at == NOW + 9
    assert await house.state.remove("space", "a", if_version=first)
    assert await kept(house.new) == {("space", "b"): b"2"}
    await house.state.drop("space")
    assert await kept(house.new) == {}
    assert house.store.facts.dirty == 0


async def test_the_old_store_gives_every_version_and_holds_all_leases(house: House) -> None:
    house.mirror.start()
    for _ in range(3):
        await house.new.inner.state.put("elsewhere", "key", b"", now=NOW)
    house.store.switch()
    for space in (LEASES, "space"):
        version = await house.state.put(space, "key", b"1", now=NOW, if_version=0)
        entry = await house.state.get(space, "key", now=NOW)
        assert entry is not None
        assert entry == await house.old.inner.state.get(space, "key", now=NOW)
        assert entry.version == version
        assert await house.another().put(space, "key", b"2", now=NOW, if_version=0) is None
        assert await house.another().put(space, "key", b"2", now=NOW, if_version=version) is not None
    assert (LEASES, "key") not in await kept(house.new)


async def test_a_write_that_the_new_store_missed_is_owed_and_brought_over_later(house: House) -> None:
    house.mirror.start()
    await house.state.put("space", "gone", b"1", now=NOW)
    house.new.down = True
    await house.state.put("space", "key", b"1", now=NOW)
    await house.state.remove("space", "gone")
    house.new.down = False
    assert house.store.facts.owes("space", "key")
    assert house.store.facts.owes("space", "gone")
    assert not house.store.facts.owes("space", "other")
    assert house.mirror.wake.is_set()
    await house.store.facts.settle()
    assert await kept(house.new) == {("space", "key"): b"1"}
    assert house.store.facts.dirty == 0


async def test_a_write_that_failed_may_have_been_made_and_is_looked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.mirror.start()
    put = house.old.inner.state.put

    async def made_but_failed(*arguments: Any, **options: Any) -> None:
        await put(*arguments, **options)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(house.old.inner.state, "put", made_but_failed)
    with pytest.raises(StoreUnavailable, match="no answer"):
        await house.state.put("space", "key", b"1", now=NOW)
    assert house.store.facts.owes("space", "key")
    await house.store.facts.settle()
    assert await kept(house.new) == {("space", "key"): b"1"}


async def test_a_name_that_is_refused_is_not_owed(house: House) -> None:
    house.mirror.start()
    for call in (
        house.state.put("space", "a b", b"", now=NOW),
        house.state.remove("space", ""),
        house.state.drop("a b"),
        house.state.put("a b", "key", b"", now=NOW),
    ):
        with pytest.raises(ValueError, match="printable ASCII"):
            await call
    assert house.store.facts.dirty == 0


async def test_after_the_switch_reads_of_an_entry_survive_the_old_store(house: House) -> None:
    house.mirror.start()
    version = await house.state.put("space", "key", b"1", now=NOW)
    house.old.down = True
    with pytest.raises(StoreUnavailable, match="switched off"):
        await house.state.get("space", "key", now=NOW)
    house.store.switch()
    for _ in range(2):
        entry = await house.state.get("space", "key", now=NOW)
        assert entry is not None
        assert entry.value == b"1"
        assert entry.version < 0, "it holds for no write"
    assert await house.state.get("space", "absent", now=NOW) is None
    for call in (
        house.state.put("space", "key", b"2", now=NOW),
        house.state.remove("space", "key"),
        house.state.get(LEASES, "key", now=NOW),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    house.old.down = False
    house.clock.ms += 10_000
    entry = await house.state.get("space", "key", now=NOW)
    assert entry is not None
    assert entry.version == version


async def test_an_entry_that_never_arrived_is_not_answered_from_the_new_store(house: House) -> None:
    house.mirror.start()
    await house.state.put("keys", "revoked", b"valid", now=NOW)
    house.store.switch()
    house.new.down = True
    await house.state.remove("keys", "revoked")
    house.new.down, house.old.down = False, True
    with pytest.raises(StoreUnavailable, match="last change"):
        await house.state.get("keys", "revoked", now=NOW)


async def test_writes_of_several_routers_end_the_same_in_both_stores(house: House) -> None:
    house.mirror.start()
    routers = [house.state, house.another(), house.another()]

    async def write(number: int) -> None:
        router = routers[number % 3]
        if number % 5 == 4:
            await router.remove("space", f"key{number % 2}")
        else:
            await router.put("space", f"key{number % 2}", str(number).encode(), now=NOW)

    await asyncio.gather(*(write(number) for number in range(40)))
    await house.store.facts.settle()
    assert await kept(house.new) == await kept(house.old) != {}


async def test_a_comparison_mends_whatever_differs_but_the_leases(house: House) -> None:
    old, new = house.old.inner.state, house.new.inner.state
    for space, key, value in (("a", "same", b"1"), ("a", "other", b"2"), ("b", "new", b"3"), (LEASES, "own", b"4")):
        await old.put(space, key, value, now=NOW)
    for space, key, value in (("a", "same", b"1"), ("a", "other", b"x"), ("c", "gone", b"x"), (LEASES, "theirs", b"x")):
        await new.put(space, key, value, now=NOW)
    before = await new.get("a", "same", now=NOW)
    await house.store.facts.sync()
    assert await kept(house.new) == {
        ("a", "same"): b"1", ("a", "other"): b"2", ("b", "new"): b"3", (LEASES, "theirs"): b"x",
    }  # fmt: skip
    assert await new.get("a", "same", now=NOW) == before, "what is equal is not written again"


async def test_too_much_owed_becomes_a_comparison_of_everything(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_mirror, "MAX_OWED", 3)
    house.mirror.start()
    house.new.down = True
    for number in range(6):
        await house.state.put("space", f"key{number}", b"", now=NOW)
    facts = house.store.facts
    assert facts.dirty <= 3
    assert facts.owes("any", "thing")
    house.new.down = False
    await facts.settle()
    assert facts.dirty == 0
    assert await kept(house.new) == await kept(house.old)


async def test_an_entry_that_is_written_to_all_the_while_stays_owed(house: House) -> None:
    class Restless(Side):
        @property
        def state(self) -> StateStore:
            return cast("StateStore", self)

        async def get(self, space: str, key: str, *, now: int) -> Any:
            await self.inner.state.put(space, key, b"again", now=now)
            return await self.inner.state.get(space, key, now=now)

    old = Restless(house.old.inner)
    mirror = StateMirror(old.store, house.new.store, clock=house.clock, wake=asyncio.Event())
    mirror.note("space", "key")
    await mirror.settle()
    assert mirror.owes("space", "key")

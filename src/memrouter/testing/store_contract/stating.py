# ruff: noqa: D102 - the name of a test is its claim
"""``state``: small facts with versions that never come again."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING
from memrouter.stores.state import MAX_NAME_CHARS, MAX_STATE_BYTES, StateStore
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.store_contract.base import ALICE, ContractBase
from memrouter.testing.store_contract.scanning import scanned

CALLERS = 5
MANY = 250
NAMES = (
    "a", "A", "*", "a*", "?", "%", "_", "a%", "a:b", "a::b", "{a}", "{a}:b", "[a]", "^a", "a,b", "a|b", "'", '"', "0",
    "\\", "a\\", "'or-1=1--", "@x:{a}", "$a", "~", "!", "null", "../a", "<a>", "x" * MAX_NAME_CHARS,
)  # fmt: skip
"""Names that a key, a pattern or an expression of a query could be mistaken about."""
REFUSED = ("", " ", "a b", "a\n", "\0", "a\x7f", "é", "\ud800", "🧠", "x" * (MAX_NAME_CHARS + 1))


async def keys(state: StateStore, space: str, *, now: int = NOW) -> list[str]:
    """Return the keys of a space, sorted."""
    return sorted([entry.key async for entry in state.entries(space, now=now)])


async def spaces(state: StateStore, prefix: str = "") -> list[str]:
    """Return the names of spaces, sorted."""
    return sorted([space async for space in state.spaces(prefix)])


class StateContract(ContractBase):
    """What holds for the small facts beside the memories."""

    async def test_an_entry_comes_back_as_it_was_written(self, store: MemoryStore) -> None:
        for value in (b"", b"\0\xff\r\n", (bytes(range(256)) * 188)[:MAX_STATE_BYTES]):
            version = await store.state.put("space", "key", value, now=NOW, expires_at=NOW + 1)
            entry = await store.state.get("space", "key", now=NOW)
            assert entry is not None
            assert (entry.key, entry.value, entry.version, entry.expires_at) == ("key", value, version, NOW + 1)
            assert [each async for each in store.state.entries("space", now=NOW)] == [entry]
            assert entry.version > 0

    async def test_nothing_is_there_before_it_is_written(self, store: MemoryStore) -> None:
        assert await store.state.get("space", "key", now=NOW) is None
        assert await store.state.remove("space", "key") is False
        assert await keys(store.state, "space") == []
        assert await spaces(store.state) == []
        await store.state.drop("space")

    async def test_a_version_rises_with_every_write_over_removal_and_expiry(self, store: MemoryStore) -> None:
        state, versions = store.state, []
        versions.append(await state.put("space", "key", b"1", now=NOW))
        versions.append(await state.put("space", "key", b"1", now=NOW))
        assert await state.remove("space", "key")
        versions.append(await state.put("space", "key", b"2", now=NOW, expires_at=NOW + 5))
        versions.append(await state.put("space", "key", b"3", now=NOW + 5))
        await state.drop("space")
        versions.append(await state.put("space", "key", b"4", now=NOW, if_version=0))
        numbers = [version for version in versions if version is not None]
        assert len(numbers) == 5
        assert numbers == sorted(set(numbers))

    async def test_a_write_with_a_condition_is_made_at_that_version_alone(self, store: MemoryStore) -> None:
        state = store.state
        assert await state.put("space", "key", b"no", now=NOW, if_version=7) is None
        first = await state.put("space", "key", b"1", now=NOW, if_version=0)
        assert first is not None
        assert await state.put("space", "key", b"no", now=NOW, if_version=0) is None
        assert await state.put("space", "key", b"no", now=NOW, if_version=first + 1) is None
        second = await state.put("space", "key", b"2", now=NOW, if_version=first)
        assert second is not None
        assert await state.put("space", "key", b"no", now=NOW, if_version=first) is None
        assert await state.remove("space", "key", if_version=first) is False
        entry = await state.get("space", "key", now=NOW)
        assert entry is not None
        assert (entry.value, entry.version) == (b"2", second)
        assert await state.remove("space", "key", if_version=second) is True
        assert await state.put("space", "key", b"no", now=NOW, if_version=second) is None
        assert await state.get("space", "key", now=NOW) is None

    async def test_an_expired_entry_is_as_if_absent(self, store: MemoryStore) -> None:
        state = store.state
        version = await state.put("space", "key", b"1", now=NOW, expires_at=NOW + 10)
        await state.put("space", "lasting", b"2", now=NOW)
        assert await state.get("space", "key", now=NOW + 9) is not None
        assert await state.get("space", "key", now=NOW + 10) is None
        assert await keys(state, "space", now=NOW + 9) == ["key", "lasting"]
        assert await keys(state, "space", now=NOW + 10) == ["lasting"]
        assert await state.put("space", "key", b"no", now=NOW + 10, if_version=version) is None
        assert await state.put("space", "key", b"3", now=NOW + 10, if_version=0) is not None
        entry = await state.get("space", "key", now=NOW + 10**9)
        assert entry is not None
        assert (entry.value, entry.expires_at) == (b"3", None)

    async def test_a_write_sets_and_clears_the_time_to_live(self, store: MemoryStore) -> None:
        for expires_at in (NOW + 5, None, NOW + 9):
            await store.state.put("space", "key", b"1", now=NOW, expires_at=expires_at)
            entry = await store.state.get("space", "key", now=NOW)
            assert entry is not None
            assert entry.expires_at == expires_at
        assert await store.state.get("space", "key", now=NOW + 9) is None

    async def test_one_of_several_writes_at_one_version_is_made(
        self, store: MemoryStore, neighbour: MemoryStore
    ) -> None:
        version: int | None = 0
        for round_ in range(2):
            writes = [
                (store, neighbour)[number % 2].state.put(
                    "leases", "upkeep", f"{round_}:{number}".encode(), now=NOW, if_version=version
                )
                for number in range(CALLERS)
            ]
            given = await asyncio.gather(*writes)
            (version,) = [each for each in given if each is not None]
            entry = await neighbour.state.get("leases", "upkeep", now=NOW)
            assert entry is not None
            assert (entry.version, entry.value) == (version, f"{round_}:{given.index(version)}".encode())

    async def test_writes_without_a_condition_are_all_made_one_after_the_other(self, store: MemoryStore) -> None:
        given = await asyncio.gather(
            *(store.state.put("space", "key", str(number).encode(), now=NOW) for number in range(CALLERS))
        )
        versions = [version for version in given if version is not None]
        assert len(set(versions)) == CALLERS
        entry = await store.state.get("space", "key", now=NOW)
        assert entry is not None
        assert (entry.version, entry.value) == (max(versions), str(given.index(max(versions))).encode())

    async def test_odd_names_are_names_apart(self, store: MemoryStore) -> None:
        await asyncio.gather(*(store.state.put(name, name[::-1], name.encode(), now=NOW) for name in NAMES))
        assert await spaces(store.state) == sorted(NAMES)
        for name in NAMES:
            assert [(each.key, each.value) async for each in store.state.entries(name, now=NOW)] == [
                (name[::-1], name.encode())
            ]
            assert await spaces(store.state, name) == sorted(each for each in NAMES if each.startswith(name))

    async def test_a_space_and_a_key_are_not_mistaken_for_others(self, store: MemoryStore) -> None:
        pairs = [("a", "b:c"), ("a:b", "c"), ("ab", "c"), ("a", "bc"), ("a:b:c", "a")]
        for space, key in pairs:
            await store.state.put(space, key, f"{space} {key}".encode(), now=NOW)
        for space, key in pairs:
            entry = await store.state.get(space, key, now=NOW)
            assert entry is not None
            assert entry.value == f"{space} {key}".encode()

    async def test_a_dropped_space_is_empty_and_the_others_stay(self, store: MemoryStore) -> None:
        for space in ("one", "ones", "ONE"):
            for key in ("a", "b"):
                await store.state.put(space, key, b"", now=NOW)
        await store.state.drop("one")
        assert await spaces(store.state) == ["ONE", "ones"]
        assert await keys(store.state, "one") == []
        assert await keys(store.state, "ones") == ["a", "b"]
        assert await store.state.get("one", "a", now=NOW) is None

    async def test_a_space_without_entries_is_none(self, store: MemoryStore) -> None:
        await store.state.put("space", "key", b"", now=NOW)
        await store.state.remove("space", "key")
        assert await spaces(store.state) == []

    async def test_many_entries_come_once_each(self, store: MemoryStore) -> None:
        wanted = [f"key{number:04d}" for number in range(MANY)]
        await asyncio.gather(*(store.state.put("space", key, key.encode(), now=NOW) for key in wanted))
        assert await keys(store.state, "space") == wanted

    async def test_a_name_out_of_bounds_is_refused(self, store: MemoryStore) -> None:
        for name in REFUSED:
            for call in (
                store.state.get(name, "key", now=NOW),
                store.state.get("space", name, now=NOW),
                store.state.put(name, "key", b"", now=NOW),
                store.state.put("space", name, b"", now=NOW),
                store.state.remove(name, "key"),
                store.state.remove("space", name),
                store.state.drop(name),
                anext(store.state.entries(name, now=NOW)),
            ):
                with pytest.raises(ValueError, match=str(MAX_NAME_CHARS)):
                    await call

    async def test_a_value_out_of_bounds_is_refused(self, store: MemoryStore) -> None:
        with pytest.raises(ValueError, match=str(MAX_STATE_BYTES)):
            await store.state.put("space", "key", b"x" * (MAX_STATE_BYTES + 1), now=NOW)
        assert await store.state.get("space", "key", now=NOW) is None

    async def test_state_and_memories_are_apart(self, store: MemoryStore, make: RecordFactory) -> None:
        await store.create([make.make(id="key")])
        await store.state.put("alice", "key", b"1", now=NOW)
        assert await store.count(None) == len(await scanned(store)) == 1
        assert await store.delete(ALICE, EVERYTHING) == 1
        assert await keys(store.state, "alice") == ["key"]

    async def test_a_write_is_seen_by_another_instance_at_once(
        self, store: MemoryStore, neighbour: MemoryStore
    ) -> None:
        for number in range(3):
            version = await store.state.put("space", "key", str(number).encode(), now=NOW)
            entry = await neighbour.state.get("space", "key", now=NOW)
            assert entry is not None
            assert (entry.value, entry.version) == (str(number).encode(), version)
            assert await neighbour.state.remove("space", "key", if_version=version)
            assert await store.state.get("space", "key", now=NOW) is None

    @given(data=st.data())
    @settings(
        max_examples=5,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    async def test_whatever_is_done_the_store_holds_what_a_dictionary_would(
        self, store: MemoryStore, data: st.DataObject
    ) -> None:
        state, now, last = store.state, NOW, 0
        await state.drop("space")
        held: dict[str, tuple[bytes, int, int | None]] = {}
        for _ in range(data.draw(st.integers(1, 6))):
            now += data.draw(st.integers(0, 3))
            held = {key: entry for key, entry in held.items() if entry[2] is None or entry[2] > now}
            key = data.draw(st.sampled_from("ab"))
            version = held[key][1] if key in held else 0
            condition = data.draw(st.sampled_from((None, 0, version, version + 1)))
            if data.draw(st.booleans()):
                value, expires_at = data.draw(st.binary(max_size=9)), data.draw(st.sampled_from((None, now + 2)))
                given = await state.put("space", key, value, now=now, expires_at=expires_at, if_version=condition)
                assert (given is not None) is (condition in (None, version))
                if given is not None:
                    assert given > last
                    last = given
                    held[key] = (value, given, expires_at)
            elif key in held:
                assert await state.remove("space", key, if_version=condition) is (condition in (None, version))
                if condition in (None, version):
                    del held[key]
            found = [each async for each in state.entries("space", now=now)]
            assert {each.key: (each.value, each.version, each.expires_at) for each in found} == held

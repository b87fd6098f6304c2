"""A server that is lost or full at any step of a commit: the change is made whole or not at all, and made once."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from memrouter.errors import StoreUnavailable
from memrouter.memory.storing.edits import OwnerEdits, Plan
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Change, ScanQuery
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.testing.records import NOW, RecordFactory, plain
from memrouter.testing.valkey import ValkeyServer, serving
from memrouter.testing.valkey_cluster import ask

from .audit import audit
from .cutting import CuttingClient

LATER = NOW + 10**9


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    """A server that keeps what it acknowledged."""
    async with ValkeyServer(directory=tmp_path, args=("--appendonly", "yes", "--appendfsync", "always")) as running:
        yield running


@pytest.fixture
async def store(server: ValkeyServer) -> AsyncIterator[ValkeyStore]:
    store = await ValkeyStore.open(server.settings(timeout=1), dimension=16, embedding_model="test-model")
    await serving(store)
    yield store
    await store.aclose()


@pytest.fixture
def make(store: ValkeyStore) -> RecordFactory:
    return RecordFactory(store.capabilities)


@dataclass(frozen=True)
class Correction:
    """A new memory takes the place of one, another gets a new text, a third is removed, a fourth stays as it is."""

    user: str
    before: tuple[MemoryRecord, ...]
    after: tuple[MemoryRecord, ...]

    @classmethod
    def made(cls, make: RecordFactory, user: str) -> "Correction":
        old, edited, gone, bystander = make.many(4, user_id=user, access_count=2)
        new = make.make(user_id=user)
        other = replace(edited, content="other", embedding=make.vector("other"))
        after = (replace(old, superseded_by=new.id), other, bystander, new)
        return cls(user, (old, edited, gone, bystander), after)

    async def plan(self, store: ValkeyStore) -> Plan[None]:
        if await store.get(Scope(self.user), [self.after[-1].id], now=LATER):
            return Plan(None)
        return Plan(None, put=[self.after[0], self.after[1], self.after[3]], remove=frozenset({self.before[2].id}))


def plainly(records: Iterable[MemoryRecord]) -> list[dict[str, object]]:
    return [plain(record) for record in sorted(records, key=lambda record: record.id)]


async def kept(store: ValkeyStore, user: str) -> list[dict[str, object]]:
    return plainly([record async for page in store.scan(ScanQuery(user_id=user)) for record in page.records])


async def problems(server: ValkeyServer, *users: str) -> list[str]:
    connection = await Connection.open(server.settings())
    try:
        return [problem for user in users for problem in await audit(connection, server.settings(), user)]
    finally:
        await connection.aclose()


@pytest.mark.parametrize("answered", [False, True])
async def test_a_change_is_made_once_whichever_step_the_server_is_lost_at(
    store: ValkeyStore, make: RecordFactory, server: ValkeyServer, answered: bool
) -> None:
    edits = OwnerEdits(store, rng=Random(1))
    for step in count():
        asked = Correction.made(make, f"user{step}")
        await store.create(asked.before)
        await ask(server, "SCRIPT", "FLUSH")  # so that the server has to be handed the script
        planned, plan = await edits.generation(asked.user), await asked.plan(store)
        cutting = CuttingClient(store, step=step, answered=answered, lose=server.kill)
        try:
            await store.commit(Change(asked.user, after=planned, put=plan.put, remove=plan.remove))
        except StoreUnavailable:
            assert cutting.lost
        cutting.mend()
        if not cutting.lost:
            break
        await server.start()
        await serving(store)
        assert await problems(server, asked.user) == []
        made = answered and step == 1
        assert await kept(store, asked.user) == plainly(asked.after if made else asked.before)
        await edits.apply(asked.user, partial(asked.plan, store))
        assert await kept(store, asked.user) == plainly(asked.after)
        assert await problems(server, asked.user) == []
    assert step == 2, "a commit is one script, sent by its name and then by its text"


async def test_what_was_acknowledged_in_a_storm_of_changes_outlives_the_server(
    store: ValkeyStore, make: RecordFactory, server: ValkeyServer
) -> None:
    """Each user's newest memory takes the place of the one before, again and again, until the server is killed."""
    users = [f"user{number}" for number in range(8)]
    acknowledged: dict[str, list[str]] = {user: [] for user in users}
    killed = asyncio.Event()

    async def correct(user: str) -> None:
        newest, generation = make.make(user_id=user), await store.commit(Change(user, after=0))
        while not killed.is_set() and generation is not None:
            following = make.make(user_id=user)
            put = [following] if not acknowledged[user] else [following, replace(newest, superseded_by=following.id)]
            try:
                generation = await store.commit(Change(user, after=generation, put=put))
            except StoreUnavailable:
                return
            newest = following
            acknowledged[user].append(following.id)
        assert generation is not None, "nobody else writes here"

    async def kill() -> None:
        while sum(map(len, acknowledged.values())) < 200:
            await asyncio.sleep(0.001)
        await server.kill()
        killed.set()

    await asyncio.gather(kill(), *(correct(user) for user in users))
    await server.start()
    await serving(store)
    assert await problems(server, *users) == []
    for user in users:
        records = [record async for page in store.scan(ScanQuery(user_id=user)) for record in page.records]
        names = [record.id for record in records]
        assert names[: len(acknowledged[user])] == acknowledged[user]
        assert len(names) <= len(acknowledged[user]) + 1, "at most the change that was about to be acknowledged"
        assert [record.superseded_by for record in records] == [*names[1:], None], "an unbroken chain"


async def test_a_full_server_refuses_a_change_as_a_whole_and_lets_memories_go(
    store: ValkeyStore, make: RecordFactory, server: ValkeyServer
) -> None:
    asked = Correction.made(make, "alice")
    await store.create(asked.before)
    lease = await store.state.put("leases", "upkeep", b"1", now=NOW)
    planned, plan = await OwnerEdits(store, rng=Random(1)).generation("alice"), await asked.plan(store)
    await ask(server, "CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.commit(Change("alice", after=planned, put=plan.put, remove=plan.remove))
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.state.put("leases", "upkeep", b"2", now=NOW)
    assert await kept(store, "alice") == plainly(asked.before)
    assert await problems(server, "alice") == []
    after = await store.commit(Change("alice", after=planned, remove=plan.remove))
    assert after is not None, "nothing had raised the generation"
    assert await kept(store, "alice") == plainly(record for record in asked.before if record.id not in plan.remove)
    assert await store.commit(Change("alice", after=after)) is not None
    assert await store.state.remove("leases", "upkeep", if_version=lease)
    await ask(server, "CONFIG", "SET", "maxmemory", "0")
    assert await problems(server, "alice") == []


async def test_state_works_on_after_the_server_was_away(store: ValkeyStore, server: ValkeyServer) -> None:
    first = await store.state.put("leases", "upkeep", b"1", now=NOW, expires_at=LATER)
    await server.kill()
    calls = (
        store.state.get("leases", "upkeep", now=NOW),
        store.state.put("leases", "upkeep", b"2", now=NOW),
        store.state.remove("leases", "upkeep"),
        store.state.drop("leases"),
        anext(store.state.entries("leases", now=NOW)),
        anext(store.state.spaces()),
        store.commit(Change("alice", after=0)),
    )
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    await server.start()
    await serving(store)
    entry = await store.state.get("leases", "upkeep", now=NOW)
    assert entry is not None
    assert (entry.version, entry.value, entry.expires_at) == (first, b"1", LATER)
    second = await store.state.put("leases", "upkeep", b"2", now=NOW, if_version=first)
    assert first is not None
    assert second is not None
    assert second > first

"""A change is one transaction: whatever breaks it off leaves all of it or nothing."""

import asyncio
import re
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from memrouter.errors import InvalidRequest, MemoryConflict, StoreUnavailable
from memrouter.models.memory import MemoryRecord, Scope
from memrouter.stores.query import Change, ScanQuery, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory, plain

OpenStore = Callable[[], Awaitable[SqliteStore]]
STRIDE: Final = 11
"""How many steps of SQLite's own machine lie between one fault and the next."""

CHILD: Final = """
import asyncio, itertools, os, signal, sys
from msgspec.structs import replace
from memrouter.config.memory import SqliteSettings
from memrouter.models.memory import Scope
from memrouter.stores.query import Change, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import RecordFactory

path, last = sys.argv[1], int(sys.argv[2])

async def main():
    store = await SqliteStore.open(SqliteSettings(path=path), dimension=16, embedding_model="test-model")
    make, steps = RecordFactory(store.capabilities), itertools.count()
    records = make.many(6)
    await store.create(records)
    generation = (await store.search(Scope("alice"), StoreQuery(vector=None, k=1, now=0))).generation
    def step():
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
    await store._writer.run(lambda connection: connection.set_progress_handler(step, 1))
    change = Change("alice", generation, put=[replace(records[0], content="new"), make.make("added")],
                    remove=frozenset({records[1].id}))
    await store.commit(change)
    print(next(steps), flush=True)

asyncio.run(main())
"""


async def contents(store: SqliteStore) -> list[str]:
    return [record.content async for page in store.scan(ScanQuery()) for record in page.records]


async def generation(store: SqliteStore) -> int:
    return (await store.search(Scope("alice"), StoreQuery(vector=None, k=1, now=NOW))).generation


def assert_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO memories_fts (memories_fts, rank) VALUES ('integrity-check', 1)")


class Fault:
    """Breaks off what the writer does, once, so many steps after it was armed."""

    def __init__(self) -> None:
        self._left = 0

    def arm(self, steps: int) -> None:
        self._left = steps

    def __call__(self) -> int:
        self._left -= 1
        return int(self._left == 0)


def changes(make: RecordFactory, held: list[MemoryRecord], after: int) -> Change:
    put = [
        replace(held[0], content="new", embedding=make.vector("new")),
        replace(held[1], superseded_by=held[0].id, access_count=9, last_accessed=NOW),
        make.make("added", access_count=1),
    ]
    return Change("alice", after, put=put, remove=frozenset({held[2].id, held[3].id}))


async def test_a_change_that_is_broken_off_anywhere_is_not_made(
    store: SqliteStore, make: RecordFactory, path: Path
) -> None:
    held = make.many(6, access_count=2)
    await store.create(held)
    before, planned = await contents(store), await generation(store)
    fault, faults = Fault(), 0
    await store._writer.run(lambda connection: connection.set_progress_handler(fault, 1))
    while True:
        change = changes(make, held, planned)
        fault.arm(1 + STRIDE * faults)
        try:
            await store.commit(change)
        except StoreUnavailable:
            fault.arm(0)
            assert await contents(store) == before
            assert await generation(store) == planned
            faults += 1
        else:
            break
    assert faults > 50
    assert sorted(await contents(store)) == sorted([*before[4:], held[1].content, "new", "added"])
    assert await generation(store) == planned + 1
    fault.arm(0)
    await store.aclose()
    assert_sound(path)


async def test_a_killed_process_leaves_a_whole_change_or_none(path: Path, open_store: OpenStore) -> None:
    async def run(last: int) -> tuple[Path, int]:
        place = path.with_name(f"{last}.db")
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(place), str(last))
        return place, await process.wait()

    ends = await asyncio.gather(*(run(last) for last in (40, 300, 600, 800, 1_000_000)))
    assert [status for _, status in ends] == [-signal.SIGKILL] * 4 + [0]
    for number, (place, _) in enumerate(ends):
        place.rename(path)
        for rest in place.parent.glob(f"{place.name}-*"):
            rest.rename(path.with_name(rest.name.replace(place.name, path.name)))
        store = await open_store()
        facts = [f"fact number {fact}" for fact in range(1, 7)]
        expected = facts if number < 4 else ["new", *facts[2:], "added"]
        assert await contents(store) == expected
        assert await generation(store) == 1 + (number == 4)
        await store.aclose()
        assert_sound(path)
        path.unlink()


async def test_an_id_that_another_owner_has_undoes_the_whole_change(store: SqliteStore, make: RecordFactory) -> None:
    held, hers = make.make("held"), make.make("hers", user_id="bob")
    await store.create([held, hers])
    before = await generation(store)
    change = Change("alice", before, put=[make.make(), make.make(id=hers.id)], remove=frozenset({held.id}))
    with pytest.raises(MemoryConflict) as caught:
        await store.commit(change)
    assert caught.value.ids == (hers.id,)
    assert sorted(await contents(store)) == ["held", "hers"]
    assert await generation(store) == before


async def test_a_record_that_cannot_be_stored_undoes_the_whole_change(store: SqliteStore, make: RecordFactory) -> None:
    held = make.make("held")
    await store.create([held])
    before = await generation(store)
    for fault in (
        {"importance": 1.5},
        {"content": "\ud800"},
        {"created_at": 2**70},
        {"id": ""},
        {"quarantine": "\ud800"},
    ):
        bad = replace(make.make(), **fault)  # type: ignore[arg-type] # fields of any type
        with pytest.raises(InvalidRequest):
            await store.commit(Change("alice", before, put=[replace(held, content="new"), bad]))
    assert await contents(store) == ["held"]
    assert await generation(store) == before


async def test_a_change_that_is_not_made_leaves_no_trace_of_the_user(store: SqliteStore, path: Path) -> None:
    assert await store.commit(Change("nobody-known", after=7)) is None
    await store.aclose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM owners").fetchone() == (0,)


async def test_a_memory_that_is_put_with_the_text_that_it_has_leaves_the_word_index_alone(
    store: SqliteStore, make: RecordFactory, path: Path
) -> None:
    record = make.make("walrus")
    await store.create([record])

    def index_pages(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
        return connection.execute("SELECT id, block FROM memories_fts_data ORDER BY id").fetchall()

    before = await store._writer.run(index_pages)
    await store.commit(Change("alice", await generation(store), put=[replace(record, importance=1.0, pinned=True)]))
    assert await store._writer.run(index_pages) == before
    await store.commit(Change("alice", await generation(store), put=[replace(record, content="seal")]))
    assert await store._writer.run(index_pages) != before
    await store.aclose()
    assert_sound(path)


async def test_what_was_committed_is_there_after_reopening(
    store: SqliteStore, make: RecordFactory, open_store: OpenStore
) -> None:
    record = make.make(quarantine="instruction", pinned=True, links=("m7", "m8"), access_count=3, last_accessed=NOW)
    await store.commit(Change("alice", 0, put=[record]))
    await store.aclose()
    again = await open_store()
    assert [plain(found) for found in await again.get(Scope("alice"), [record.id], now=NOW)] == [plain(record)]


async def a_mix(store: SqliteStore, make: RecordFactory) -> list[Change]:
    """Fill a store, and return changes of several owners: three that only add, and one of every other kind."""
    held = {user: make.make(f"held by {user}", user_id=user, id=f"held-{user}") for user in "abcdefgh"}
    await store.create(list(held.values()))
    new = {user: make.make(f"new of {user}", user_id=user, id=f"new-{user}") for user in "abcdefghi"}
    return [
        Change("a", 1, put=[new["a"], make.make("another", user_id="a", id="another")]),
        Change("b", 1, put=[new["b"]]),
        Change("c", 7, put=[new["c"]]),
        Change("d", 1, put=[replace(held["d"], content="rewritten"), new["d"]]),
        Change("e", 1, put=[new["e"]], remove=frozenset({"held-e"})),
        Change("f", 1, put=[replace(new["f"], id="held-a")]),
        Change("g", 1, put=[replace(new["g"], access_count=3, last_accessed=NOW)]),
        Change("i", 0, put=[new["i"]]),
        Change("h", 1, put=[new["h"]]),
    ]


@pytest.mark.parametrize("bad", [None, {"embedding_model": "other"}, {"importance": 1.5}, {"id": "new-a"}])
async def test_changes_that_are_made_together_end_as_if_each_was_made_alone(
    open_store: OpenStore, path: Path, bad: dict[str, object] | None
) -> None:
    async def ended(*, together: bool) -> tuple[list[object], list[object]]:
        store = await open_store()
        make = RecordFactory(store.capabilities)
        changes = await a_mix(store, make)
        if bad is not None:
            changes.insert(4, Change("j", 0, put=[replace(make.make("bad", user_id="j"), **bad)]))  # type: ignore[arg-type] # fields of any type
        if together:
            made = await asyncio.gather(*map(store.commit, changes), return_exceptions=True)
        else:
            made = [(await asyncio.gather(store.commit(change), return_exceptions=True))[0] for change in changes]
        records = [plain(record) async for page in store.scan(ScanQuery()) for record in page.records]
        await store.aclose()
        assert_sound(path)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        return [outcome if isinstance(outcome, int | None) else type(outcome) for outcome in made], list(records)

    assert await ended(together=True) == await ended(together=False)


async def test_only_changes_that_add_to_a_known_owner_are_made_by_few_statements(
    store: SqliteStore, make: RecordFactory
) -> None:
    changes = await a_mix(store, make)
    statements: list[str] = []

    def together(connection: sqlite3.Connection) -> list[int | None]:
        connection.set_trace_callback(statements.append)
        made = list(store._commit.together(connection, [*changes, Change("b", 1, put=[make.make(user_id="b")])]))
        connection.set_trace_callback(None)
        return made

    made = await store._writer.run(together)
    assert made == [2, None, None, None, None, None, None, None, 2, None], "b has two changes at once"
    # One that sets off a trigger is told again behind it.
    own = {text for text in statements if re.match(r"\s*(?:SELECT \(|INSERT INTO memories|UPDATE)", text)}
    assert len(own) == 4, "three memories are added by two statements"

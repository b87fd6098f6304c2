"""A change is one transaction: whatever breaks it off leaves all of it or nothing."""

import asyncio
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

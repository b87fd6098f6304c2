"""The file outlives the process: reopening, kill -9, and several processes at once."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.query import Filter, ListQuery, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.edits import edit
from memrouter.testing.records import NOW, RecordFactory, plain

OpenStore = Callable[[], Awaitable[SqliteStore]]
ALICE = Scope("alice")
LATER = NOW + 10**9

WRITER = """
import asyncio, dataclasses, sys
from memrouter.config.memory import SqliteSettings
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import RecordFactory

path, name, number, shared = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "shared"

async def main():
    store = await SqliteStore.open(SqliteSettings(path=path), dimension=16, embedding_model="test-model")
    make = RecordFactory(store.capabilities)

    async def write(worker):
        for index in range(worker, number, 8):
            text = f"text {index}" if shared else f"text {name} {index}"
            record = make.make(text, id=f"{name}-{index}")
            (kept,) = await store.create([record], unique_content=shared)
            print(kept, flush=True)

    print("ready", flush=True)
    await asyncio.gather(*(write(worker) for worker in range(8)))
    await store.aclose()

asyncio.run(main())
"""


def child(path: Path, name: str, number: int, kind: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(path), name, str(number), kind]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def assert_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO memories_fts (memories_fts, rank) VALUES ('integrity-check', 1)")


async def test_reopening_keeps_everything(store: SqliteStore, make: RecordFactory, open_store: OpenStore) -> None:
    records = make.many(25)
    await store.create([*records, make.make(user_id="bob")])
    await store.touch(ALICE, [records[0].id], now=LATER)
    await store.delete(ALICE, Filter(ids=frozenset({records[1].id})))
    query = StoreQuery(vector=records[3].embedding, words=("fact",), k=9, now=LATER)
    before = await store.list(ALICE, ListQuery(limit=100, now=LATER))
    found = await store.search(ALICE, query)
    await store.aclose()
    again = await open_store()
    after = await again.list(ALICE, ListQuery(limit=100, now=LATER))
    assert [plain(record) for record in after.records] == [plain(record) for record in before.records]
    assert len(after.records) == 24
    refound = await again.search(ALICE, query)
    assert refound.generation == found.generation
    assert refound.scores == found.scores
    assert [r.id for r in refound.records or ()] == [r.id for r in found.records or ()]


async def test_the_generation_goes_on_after_everything_was_deleted_and_the_file_reopened(
    store: SqliteStore, make: RecordFactory, open_store: OpenStore
) -> None:
    await store.create(make.many(3))
    await store.delete(ALICE, Filter())
    query = StoreQuery(vector=None, k=1, now=LATER)
    before = (await store.search(ALICE, query)).generation
    await store.aclose()
    again = await open_store()
    assert (await again.search(ALICE, query)).generation == before == 2
    await again.create([make.make()])
    assert (await again.search(ALICE, query)).generation == 3


async def test_closing_leaves_one_file(store: SqliteStore, make: RecordFactory, path: Path) -> None:
    await store.create(make.many(5))
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_the_setting_for_synchronous_reaches_the_driver(tmp_path: Path, synchronous: str) -> None:
    settings = SqliteSettings.model_validate({"path": str(tmp_path / "memories.db"), "synchronous": synchronous})
    store = await SqliteStore.open(settings, dimension=4, embedding_model="m")
    ((level,),) = await store._writer.run(lambda connection: connection.execute("PRAGMA synchronous").fetchall())
    await store.aclose()
    assert level == {"normal": 1, "full": 2}[synchronous]


async def test_a_large_owner_is_searched_in_pieces_with_the_same_result(
    store: SqliteStore, make: RecordFactory
) -> None:
    records = make.many(2_500)
    await store.create(records)
    for target in (records[0], records[1_024], records[2_499]):
        answer = await store.search(ALICE, StoreQuery(vector=target.embedding, k=3, now=LATER))
        whole = await store.search(ALICE, StoreQuery(vector=target.embedding, k=3, now=LATER, scan_limit=3_000))
        assert answer.records is not None
        assert whole.records is not None
        assert answer.records[0].id == target.id
        assert [r.id for r in answer.records] == [r.id for r in whole.records[:3]]
        assert list(answer.scores or ()) == list(whole.scores or ())[:3]


async def test_a_killed_process_loses_nothing_that_it_acknowledged(path: Path, open_store: OpenStore) -> None:
    acknowledged: set[str] = set()
    for life in range(3):
        process = child(path, f"life{life}", 1_000_000, "own")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(120 + 70 * life):
            acknowledged.add(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        acknowledged.update(line.strip() for line in process.stdout if line.endswith("\n"))
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
    assert len(acknowledged) > 500
    store = await open_store()
    found = await store.get(ALICE, sorted(acknowledged), now=LATER)
    assert {record.id for record in found} == acknowledged
    await store.aclose()
    assert_sound(path)


async def test_two_stores_change_the_same_memories_without_loss(
    store: SqliteStore, make: RecordFactory, open_store: OpenStore
) -> None:
    other = await open_store()
    records = make.many(10)
    await store.create(records)

    async def change(through: SqliteStore) -> None:
        for record in records:
            assert await edit(through, ALICE, record.id, now=NOW, importance=0.25) is not None
            assert await through.touch(ALICE, [record.id], now=NOW) == 1

    await asyncio.gather(change(store), change(other))
    answer = await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=100))
    assert answer.generation == 1 + 2 * len(records)
    assert {(record.importance, record.access_count) for record in answer.records or ()} == {(0.25, 2)}


async def test_two_processes_write_one_file_without_loss_or_repeats(path: Path, open_store: OpenStore) -> None:
    processes = [child(path, name, 150, "shared") for name in ("one", "two")]
    store = await open_store()
    seen = 0
    while any(process.poll() is None for process in processes):
        total = (await store.stats(ALICE, now=LATER)).total
        assert total >= seen
        seen = total
        await asyncio.sleep(0.01)
    answers = []
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0
        answers.append(set(output.split()[1:]))
    page = await store.list(ALICE, ListQuery(limit=1_000, now=LATER))
    assert sorted(record.content for record in page.records) == sorted(f"text {index}" for index in range(150))
    assert answers[0] == answers[1] == {record.id for record in page.records}
    await store.aclose()
    assert_sound(path)


async def test_processes_that_make_the_file_at_once_share_it(path: Path, open_store: OpenStore) -> None:
    processes = [child(path, f"p{number}", 8, "own") for number in range(4)]
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0
        assert len(output.split()) == 9
    store = await open_store()
    assert (await store.stats(ALICE, now=LATER)).total == 32


@pytest.mark.parametrize("table", ["meta", "owners", "memories", "access", "state"])
async def test_a_check_notices_a_table_that_is_gone(open_store: OpenStore, tmp_path: Path, table: str) -> None:
    store = await open_store()
    with closing(sqlite3.connect(next(tmp_path.rglob("*.db")))) as outside:
        outside.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
    with pytest.raises(StoreUnavailable):
        await store.check()

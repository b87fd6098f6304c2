"""Whatever goes wrong in the driver leaves as an error of ours, with the way out and without any text."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from memrouter.config.memory import SqliteSettings
from memrouter.errors import InvalidRequest, MemrouterError, SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.query import ListQuery
from memrouter.stores.sqlite.errors import translated
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory

OpenStore = Callable[[], Awaitable[SqliteStore]]
ALICE = Scope("alice")


async def refusal(path: Path | str) -> MemrouterError:
    with pytest.raises(MemrouterError) as caught:
        await SqliteStore.open(SqliteSettings(path=str(path)), dimension=4, embedding_model="m")
    return caught.value


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "missing" / "memories.db")
    assert isinstance(error, StoreUnavailable)
    assert f"{tmp_path}/missing does not exist; create it" in str(error)


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    error = await refusal(tmp_path)
    assert isinstance(error, StoreUnavailable)
    assert "is a folder" in str(error)


async def test_a_path_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert isinstance(await refusal(tmp_path / "file" / "memories.db"), StoreUnavailable)


@pytest.mark.parametrize("content", [b"not a database\n" * 100, b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 2000])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    error = await refusal(path)
    assert isinstance(error, SchemaMismatch)
    assert "is not a memrouter database; set global.stores.memory.sqlite.path" in str(error)
    assert path.read_bytes() == content


def test_a_file_that_may_not_be_written_names_the_permission() -> None:
    program = (
        "import asyncio, os, sys\n"
        "from memrouter.config.memory import SqliteSettings\n"
        "from memrouter.stores.sqlite.store import SqliteStore\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "asyncio.run(SqliteStore.open(SqliteSettings(path=sys.argv[1]), dimension=4, embedding_model='m'))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "memories.db"
        sqlite3.connect(path).close()
        path.touch()
        path.chmod(0o444)
        child = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "StoreUnavailable" in child.stderr
    assert "give this user write permission" in child.stderr


async def opened_and_read(path: Path) -> None:
    store = await SqliteStore.open(SqliteSettings(path=str(path)), dimension=16, embedding_model="test-model")
    try:
        await store.list(ALICE, ListQuery(limit=1000, now=NOW))
    finally:
        await store.aclose()


async def test_a_damaged_file_is_an_error_of_ours(store: SqliteStore, make: RecordFactory, path: Path) -> None:
    await store.create(make.many(400))
    await store.aclose()
    content = bytearray(path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises((StoreUnavailable, SchemaMismatch), match=r"memories\.db"):
        await opened_and_read(path)


async def test_a_full_disk_stores_nothing_and_ends_when_there_is_room(store: SqliteStore, make: RecordFactory) -> None:
    await store.create([make.make("before")])
    await store._writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchall())
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await store.create(make.many(200))
    await store._writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall())
    assert (await store.stats(ALICE, now=NOW)).total == 1
    await store.create(make.many(200))
    assert (await store.stats(ALICE, now=NOW)).total == 201


async def test_a_removed_file_fails_the_check(store: SqliteStore, path: Path) -> None:
    await store.check()
    path.unlink()
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.check()


async def test_a_replaced_file_fails_the_check(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    (tmp_path / "other").replace(path)
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.check()


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "broken \ud800 text"},
        {"content": ""},
        {"content": "x" * 16_385},
        {"id": ""},
        {"id": "x" * 65},
        {"importance": float("nan")},
        {"importance": 1.5},
        {"created_at": 2**63},
        {"conversation_id": "\udfff"},
    ],
    ids=str,
)
async def test_a_record_that_cannot_be_stored_is_the_callers_fault_and_stores_nothing(
    store: SqliteStore, make: RecordFactory, changes: dict[str, object]
) -> None:
    bad = replace(make.make(), **changes)  # type: ignore[arg-type] # broken on purpose
    with pytest.raises(InvalidRequest):
        await store.create([make.make(), bad])
    assert (await store.stats(ALICE, now=NOW)).total == 0


def test_every_error_of_the_driver_becomes_ours_without_its_message() -> None:
    for name in ("BUSY", "LOCKED", "FULL", "IOERR", "CORRUPT", "CANTOPEN", "READONLY", "NOTADB", "MISUSE", "ERROR"):
        error = sqlite3.OperationalError('fts5: syntax error near "private words"')
        error.sqlite_errorname = f"SQLITE_{name}"
        ours = translated(error, place="memories.db")
        assert isinstance(ours, StoreUnavailable | SchemaMismatch)
        assert "private" not in str(ours)
        assert "memories.db" in str(ours)
    kinds = [kind for kind in vars(sqlite3).values() if isinstance(kind, type) and issubclass(kind, sqlite3.Error)]
    for kind in kinds:
        assert isinstance(translated(kind("private"), place="memories.db"), MemrouterError)
        assert "private" not in str(translated(kind("private"), place="memories.db"))


async def test_two_stores_may_share_a_file(store: SqliteStore, make: RecordFactory, open_store: OpenStore) -> None:
    other = await open_store()
    record = make.make("tea")
    await store.create([record])
    assert await other.create([make.make("tea")], unique_content=True) == [record.id]
    assert (await other.stats(ALICE, now=NOW)).total == 1

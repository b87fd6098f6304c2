"""A merge is one transaction, and what it replaces is gone from the file."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from memrouter.errors import InvalidRequest, MemoryConflict
from memrouter.models.memory import Scope
from memrouter.stores.query import ListQuery, Merged, MergeMode
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory, plain

OpenStore = Callable[[], Awaitable[SqliteStore]]
ALICE = Scope("alice")
LATER = NOW + 10**9


async def test_an_id_that_another_owner_has_undoes_the_whole_call(store: SqliteStore, make: RecordFactory) -> None:
    hers = make.make(user_id="bob")
    await store.create([hers])
    for mode in MergeMode:
        with pytest.raises(MemoryConflict) as caught:
            await store.merge([make.make(), make.make(id=hers.id), make.make(user_id="carol")], mode=mode)
        assert caught.value.ids == (hers.id,)
    assert await store.count(None) == 1


async def test_an_id_of_two_owners_in_one_call_is_a_conflict(store: SqliteStore, make: RecordFactory) -> None:
    record = make.make()
    with pytest.raises(MemoryConflict):
        await store.merge([record, make.make(id=record.id, user_id="bob")], mode=MergeMode.SKIP)
    assert await store.count(None) == 0


async def test_a_record_that_cannot_be_stored_undoes_the_whole_call(store: SqliteStore, make: RecordFactory) -> None:
    held = make.make("held")
    await store.create([held])
    whole = make.make()
    for changes in ({"importance": 1.5}, {"content": "\ud800"}, {"created_at": 2**70}, {"id": ""}):
        bad = replace(whole, **changes)  # type: ignore[arg-type] # fields of any type
        with pytest.raises(InvalidRequest):
            await store.merge([replace(held, content="new"), bad], mode=MergeMode.REPLACE)
    page = await store.list(ALICE, ListQuery(limit=9, now=LATER))
    assert [plain(record) for record in page.records] == [plain(held)]


async def test_a_replaced_text_is_not_left_in_the_file(store: SqliteStore, make: RecordFactory, path: Path) -> None:
    secret = make.make("xylophoneq quokkaz")
    await store.create([*make.many(30), secret])
    harmless = replace(make.make("harmless"), id=secret.id)
    assert list(await store.merge([harmless], mode=MergeMode.REPLACE)) == [Merged.REPLACED]
    await store.aclose()
    content = b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))
    assert b"harmless" in content
    assert b"lophoneq" not in content
    assert b"okkaz" not in content
    assert secret.embedding.tobytes() not in content


async def test_the_file_is_sound_after_merges(store: SqliteStore, make: RecordFactory, path: Path) -> None:
    records = make.many(50, access_count=1, last_accessed=NOW)
    for mode in MergeMode:
        await store.merge(records, mode=mode)
    await store.aclose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO memories_fts (memories_fts, rank) VALUES ('integrity-check', 1)")
        assert connection.execute("SELECT count(*) FROM access").fetchone() == (50,)


async def test_what_was_merged_is_there_after_reopening(
    store: SqliteStore, open_store: OpenStore, make: RecordFactory
) -> None:
    record = make.make(superseded_by="m9", access_count=3, last_accessed=NOW)
    await store.merge([record], mode=MergeMode.SKIP)
    await store.aclose()
    again = await open_store()
    assert [plain(found) for found in await again.get(ALICE, [record.id], now=LATER)] == [plain(record)]

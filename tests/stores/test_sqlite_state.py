"""Facts beside the memories: what expired goes from the file, and a version outlives the process."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW

OpenStore = Callable[[], Awaitable[SqliteStore]]


def rows(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT space, key FROM state ORDER BY space, key").fetchall()


async def test_an_entry_and_the_versions_outlive_the_process(store: SqliteStore, open_store: OpenStore) -> None:
    first = await store.state.put("space", "key", b"1", now=NOW, expires_at=NOW + 9)
    gone = await store.state.put("space", "gone", b"2", now=NOW)
    assert await store.state.remove("space", "gone")
    await store.aclose()
    again = await open_store()
    entry = await again.state.get("space", "key", now=NOW)
    assert entry is not None
    assert (entry.value, entry.version, entry.expires_at) == (b"1", first, NOW + 9)
    later = await again.state.put("space", "gone", b"3", now=NOW, if_version=0)
    assert later is not None
    assert gone is not None
    assert later > gone


async def test_what_has_expired_is_removed_by_later_writes(store: SqliteStore, path: Path) -> None:
    for number in range(250):
        await store.state.put("marks", str(number), b"", now=NOW, expires_at=NOW + 5)
    await store.state.put("marks", "lasting", b"", now=NOW)
    assert len(rows(path)) == 251
    for number in range(3):
        await store.state.put("leases", str(number), b"", now=NOW + 5)
    assert rows(path) == [("leases", "0"), ("leases", "1"), ("leases", "2"), ("marks", "lasting")]


async def test_a_removed_value_is_not_left_in_the_file(store: SqliteStore, path: Path) -> None:
    await store.state.put("keys", "key", b"xylophoneq" * 1000, now=NOW)
    await store.state.put("keys", "other", b"quokkaz" * 1000, now=NOW)
    await store.state.remove("keys", "key")
    await store.state.put("keys", "other", b"harmless", now=NOW)
    await store.aclose()
    content = b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))
    assert b"harmless" in content
    assert b"xylophoneq" not in content
    assert b"quokkaz" not in content


async def test_expired_entries_are_found_through_an_index(store: SqliteStore, path: Path) -> None:
    await store.state.put("space", "key", b"", now=NOW, expires_at=NOW)
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT version FROM state WHERE expires_at <= 5 LIMIT 9"
        ).fetchall()
    assert "state_expiry" in plan[0][3]

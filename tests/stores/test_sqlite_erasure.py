"""What was deleted is not left in the file."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from memrouter.models.memory import Scope
from memrouter.stores.query import EVERYTHING, Change, Filter, ListQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory

OpenStore = Callable[[], Awaitable[SqliteStore]]
ALICE = Scope("alice")
WORDS = ("xylophoneq", "quokkaz", "walrusj")
SECRET = " ".join(WORDS)


def files(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


def assert_erased(path: Path) -> None:
    content = files(path).lower()
    for word in WORDS:
        # FTS5 shares the first letters of neighbouring terms, so look for the ends of the words too.
        assert word.encode() not in content
        assert word[3:].encode() not in content


@pytest.mark.parametrize("others", [0, 1, 700])
async def test_a_deleted_text_is_not_left_in_the_file(
    store: SqliteStore, make: RecordFactory, path: Path, others: int
) -> None:
    for batch in range(0, others, 100):
        await store.create(make.many(min(100, others - batch)))
    secret = make.make(SECRET)
    await store.create([secret])
    assert SECRET.encode() in files(path)
    await store.delete(ALICE, Filter(ids=frozenset({secret.id})))
    await store.aclose()
    assert_erased(path)
    assert secret.embedding.tobytes() not in files(path)


@pytest.mark.parametrize("kind", ["rewritten", "removed"])
async def test_a_text_that_a_change_took_away_is_not_left_in_the_file(
    store: SqliteStore, make: RecordFactory, path: Path, kind: str
) -> None:
    secret = make.make(SECRET)
    await store.create([*make.many(30), secret])
    new = replace(secret, content="new", embedding=make.vector("new"))
    put, remove = ([new], frozenset[str]()) if kind == "rewritten" else ([], frozenset({secret.id}))
    assert await store.commit(Change("alice", 1, put=put, remove=remove)) == 2
    await store.aclose()
    assert_erased(path)
    assert secret.embedding.tobytes() not in files(path)


async def test_nothing_names_a_user_whose_memories_were_all_deleted(
    store: SqliteStore, make: RecordFactory, path: Path
) -> None:
    user = "someone@example.org"
    await store.create([make.make(user_id=user, conversation_id="conversation-q7", project_id="project-q7")])
    await store.delete(Scope(user, None), EVERYTHING)
    await store.aclose()
    content = files(path)
    for name in (user, "conversation-q7", "project-q7"):
        assert name.encode() not in content


async def test_a_deletion_before_a_crash_is_erased_at_the_next_close(
    store: SqliteStore, make: RecordFactory, path: Path, open_store: OpenStore
) -> None:
    secret = make.make(SECRET)
    await store.create([*make.many(200), secret])
    await store.delete(ALICE, Filter(ids=frozenset({secret.id})))
    await store._writer.run(lambda connection: None)
    copy = path.parent / "copy"
    await asyncio.to_thread(copy.mkdir)
    for file in (path, path.with_name(path.name + "-wal")):
        (copy / file.name).write_bytes(file.read_bytes())
    await store.aclose()
    for file in copy.iterdir():
        file.replace(path.parent / file.name)
    copy.rmdir()
    assert any(word.encode() in files(path) for word in WORDS)
    after = await open_store()
    assert (await after.list(ALICE, ListQuery(limit=1, now=NOW))).total == 200
    await after.aclose()
    assert_erased(path)

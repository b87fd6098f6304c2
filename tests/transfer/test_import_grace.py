"""What is imported is not pruned for what happened, or did not happen, before."""

from collections.abc import AsyncIterator
from pathlib import Path

from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.upkeep.grace import Grace
from memrouter.stores.query import MergeMode
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory
from memrouter.transfer.importing import Importer
from memrouter.transfer.reader import Read


async def test_an_import_notes_when_it_was_for_its_users_alone(tmp_path: Path) -> None:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"))
    store = await SqliteStore.open(settings, dimension=64, embedding_model="hash-64")
    records = RecordFactory(store.capabilities).many(2, user_id="alice")

    async def batches() -> AsyncIterator[list[Read]]:
        yield [Read(line=number, record=record) for number, record in enumerate(records, start=1)]

    async def done(line: int, count: int) -> None: ...

    await Importer(store, HashEmbedder(64), mode=MergeMode.SKIP, distinct_at=NOW).run(batches(), done=done)
    grace = Grace(store.state)
    assert await grace.since("alice", now=NOW) == NOW
    assert await grace.since("bob", now=NOW) == 0
    await store.aclose()

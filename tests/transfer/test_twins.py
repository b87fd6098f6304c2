from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.records import NOW, RecordFactory
from memrouter.transfer.twins import duplicates


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    opened = await SqliteStore.open(settings, dimension=8, embedding_model="test-model")
    yield opened
    await opened.aclose()


async def test_the_same_text_of_the_same_owner_and_project_is_a_duplicate(store: MemoryStore) -> None:
    make = RecordFactory(store.capabilities).make
    await store.merge([make("likes tea"), make("was replaced", superseded_by="x")], mode=MergeMode.SKIP)
    coming = [
        make(" Likes  TEA"),
        make("likes tea", project_id="work"),
        make("likes tea", user_id="bob"),
        make("likes tea", superseded_by="y"),
        make("likes tea", quarantine="role_markers"),
        make("was replaced"),
        make("new"),
        make("NEW"),
    ]
    assert await duplicates(store, coming, now=NOW) == {0, 7}


async def test_what_has_an_id_that_is_taken_is_left_to_the_mode(store: MemoryStore) -> None:
    make = RecordFactory(store.capabilities).make
    first, second = make("likes tea"), make("likes coffee")
    await store.merge([first, second], mode=MergeMode.SKIP)
    assert await duplicates(store, [first, make("likes tea", id=second.id)], now=NOW) == set()

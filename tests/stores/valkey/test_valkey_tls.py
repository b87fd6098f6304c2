"""TLS to the server, and users with passwords and few rights."""

import logging
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as replace_record

from memrouter.config.memory import ValkeySettings
from memrouter.errors import StoreUnavailable
from memrouter.models.memory import MemoryRecord, MemoryType, Scope
from memrouter.stores.base import Capabilities
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.query import (
    EVERYTHING,
    Change,
    Filter,
    ListQuery,
    Merged,
    MergeMode,
    ScanQuery,
    StoreQuery,
)
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.stores.valkey.rebuild import Rebuild
from memrouter.stores.valkey.reindex import ValkeyReindexing
from memrouter.stores.valkey.store import ValkeyStore
from memrouter.stores.valkey.writes import DELETE_STEP
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.valkey import ValkeyServer
from memrouter.testing.valkey_cluster import ask

from .tls import Authority, tls_end

ALICE = Scope("alice")
LATER = NOW + 10**9
PAGE = Path(__file__).parents[3] / "docs" / "valkey.md"
ACL_LINE = re.compile(r"^ACL SETUSER memrouter (.+)$", re.MULTILINE)

RARE = "+zcount"
"""Only needed where a memory disappears just as a walk over the owner's memories stands on it."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("theirs"), "theirs")


@pytest.fixture
async def server() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as running:
        yield running


@pytest.fixture
async def secure(server: ValkeyServer, ours: Authority) -> AsyncIterator[int]:
    async with tls_end(ours, server.port) as port:
        yield port


async def opened(settings: ValkeySettings) -> ValkeyStore:
    return await ValkeyStore.open(settings, dimension=16, embedding_model="test-model")


async def use(store: ValkeyStore) -> None:
    """Do everything that a store can do."""
    make = RecordFactory(store.capabilities)
    record, other = make.make("likes tea"), make.make("likes coffee")
    await store.create([record, other], unique_content=True)
    assert len(await store.get(ALICE, [record.id], now=LATER)) == 1
    page = await store.list(ALICE, ListQuery(limit=1, now=LATER))
    assert page.total == 2
    assert page.next is not None
    for after in (page.next, replace(page.next, id="gone")):
        rest = await store.list(ALICE, ListQuery(limit=1, now=LATER, after=after))
        assert rest.total == 2
    for scan_limit in (0, 100):
        query = StoreQuery(vector=record.embedding, k=2, now=LATER, scan_limit=scan_limit)
        answer = await store.search(ALICE, query)
        assert [found.id for found in answer.records or ()] == [record.id, other.id]
    assert await store.touch(ALICE, [record.id], now=LATER) == 1
    assert (await store.stats(ALICE, now=LATER)).total == 2
    await move(store, [record, other, make.make("likes milk")])
    await correct(store, replace_record(record, superseded_by=other.id), make.make("likes cocoa"))
    await note(store)
    await store.check()
    many = make.many(2 * DELETE_STEP, type=MemoryType.PROCEDURAL)
    await store.create(many)
    assert await store.delete(ALICE, Filter(types=frozenset({MemoryType.EPISODIC}))) == 3
    assert await store.delete(ALICE, EVERYTHING) == len(many)


async def move(store: ValkeyStore, records: Sequence[MemoryRecord]) -> None:
    """Do what export, import and migration do; all but the last record are there."""
    done = await store.merge(records, mode=MergeMode.REPLACE)
    assert list(done).count(Merged.REPLACED) == len(records) - 1
    assert await store.count(None) == len(records)
    for query in (ScanQuery(page=1), ScanQuery(page=1, user_id="alice")):
        pages = [page async for page in store.scan(query)]
        assert {page.records[0].id for page in pages} == {record.id for record in records}


async def correct(store: ValkeyStore, record: MemoryRecord, added: MemoryRecord) -> None:
    """Change what is kept by what is kept, and take it back."""
    after = (await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER))).generation
    after = await store.commit(Change("alice", after=after, put=[record, added])) or -1
    put = [replace_record(record, superseded_by=None)]
    assert await store.commit(Change("alice", after=after, put=put, remove=frozenset({added.id}))) is not None


async def note(store: ValkeyStore) -> None:
    """Keep small facts, and let them go."""
    for number, expires_at in enumerate((NOW, None, LATER)):
        assert await store.state.put("space", f"key{number}", b"", now=LATER, expires_at=expires_at)
    assert await store.state.put("space", "key1", b"", now=LATER + 60_000) is not None
    assert await store.state.get("space", "key1", now=LATER) is not None
    assert len([entry async for entry in store.state.entries("space", now=NOW)]) == 1
    assert [space async for space in store.state.spaces()] == ["space"]
    assert await store.state.remove("space", "key1")
    await store.state.drop("space")


async def use_once(settings: ValkeySettings) -> None:
    store = await opened(settings)
    try:
        await use(store)
    finally:
        await store.aclose()


async def test_a_server_whose_certificate_is_of_the_given_authority_is_used(
    secure: int, server: ValkeyServer, ours: Authority
) -> None:
    await use_once(server.settings(port=secure, tls_enabled=True, tls_ca_path=str(ours.ca)))


@pytest.mark.parametrize("authority", ["theirs", "the system's"])
async def test_a_server_of_another_authority_is_refused(
    secure: int, server: ValkeyServer, theirs: Authority, authority: str
) -> None:
    path = str(theirs.ca) if authority == "theirs" else ""
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="certificate"):
        await opened(server.settings(port=secure, tls_enabled=True, tls_ca_path=path, timeout=1))
    assert time.monotonic() - begun < 10


async def test_skipping_verification_works_and_is_warned_about(
    secure: int, server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        store = await opened(server.settings(port=secure, tls_enabled=True, tls_insecure_skip_verify=True))
    assert "tls_insecure_skip_verify" in caplog.text
    await use(store)
    await store.aclose()


async def test_plain_text_to_a_tls_port_says_what_to_check(secure: int, server: ValkeyServer) -> None:
    with pytest.raises(StoreUnavailable, match="tls_enabled"):
        await opened(server.settings(port=secure, timeout=1))


async def test_tls_to_a_plain_port_says_what_to_check(server: ValkeyServer, ours: Authority) -> None:
    with pytest.raises(StoreUnavailable, match=r"certificate|tls_enabled"):
        await opened(server.settings(tls_enabled=True, tls_ca_path=str(ours.ca), timeout=1))


@pytest.mark.parametrize("content", [None, "", "this is no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_named(
    server: ValkeyServer, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StoreUnavailable, match=re.escape("ca.pem")):
        await opened(server.settings(tls_enabled=True, tls_ca_path=str(path), timeout=1))


def documented_rights() -> str:
    """Return the rules that docs/valkey.md tells an operator to give."""
    (rules,) = ACL_LINE.findall(PAGE.read_text())
    return str(rules).replace(">PASSWORD", ">secret")


async def test_a_user_with_the_documented_rights_can_do_everything(server: ValkeyServer) -> None:
    await ask(server, "ACL", "SETUSER", "memrouter", documented_rights())
    await use_once(server.settings(username="memrouter", password="secret"))


@pytest.mark.parametrize("right", sorted(set(documented_rights().split()) - {"on", ">secret", RARE}))
async def test_no_documented_right_can_be_left_out(server: ValkeyServer, right: str) -> None:
    rules = " ".join(word for word in documented_rights().split() if word != right)
    await ask(server, "ACL", "SETUSER", "memrouter", rules)
    with pytest.raises(StoreUnavailable):
        await use_once(server.settings(username="memrouter", password="secret", timeout=1))


def further_rights(what: str) -> str:
    """Return the rules that the page gives for one more thing."""
    (rules,) = re.findall(rf"^\| {re.escape(what)} \| `([^`]+)`", PAGE.read_text(), re.MULTILINE)
    return str(rules)


async def allow(server: ValkeyServer, *rules: str) -> ValkeySettings:
    """Make a user with the documented rights and these; return settings for it."""
    await ask(server, "ACL", "SETUSER", "memrouter", documented_rights(), *rules)
    return server.settings(username="memrouter", password="secret")


async def test_the_further_rights_are_enough_for_a_reindex(server: ValkeyServer) -> None:
    settings = await allow(server, further_rights("`memrouter reindex`"))
    store = await opened(settings)
    make = RecordFactory(store.capabilities)
    await store.create([make.make("likes tea"), make.make("likes coffee", user_id="bob")])
    await store.aclose()
    for target, abandoned in ((EmbeddingSpace("other", 16), True), (EmbeddingSpace("longer", 24), False)):
        reindexing = await ValkeyReindexing.open(settings, target=target)
        assert await reindexing.begin()
        async for batch in reindexing.pending(step=10):
            vectors = np.eye(target.dimension, dtype=np.float32)[: len(batch.texts)]
            assert await reindexing.put(batch.texts, vectors) == len(batch.texts)
        assert (await reindexing.survey()).made == 2
        if abandoned:
            assert await reindexing.abandon()
        else:
            await reindexing.seal()
            assert await reindexing.switch() == 2
            await reindexing.finish()
        assert (await reindexing.survey()).memories == 2
        await reindexing.aclose()


async def test_the_further_rights_are_enough_to_read_what_a_go_router_left(server: ValkeyServer) -> None:
    settings = await allow(server, further_rights("reading a Go router's memories whole, before a rebuild"))
    record = await written_by_the_go_router(server)
    store = await opened(settings)
    found = [found.id async for page in store.scan(ScanQuery()) for found in page.records]
    assert (found, await store.count(None)) == ([record.id], 1)
    await store.aclose()


async def written_by_the_go_router(server: ValkeyServer) -> MemoryRecord:
    """Write a memory of Alice as the Go router does, and return it."""
    make = RecordFactory(Capabilities("valkey", 16, "test-model", exact=True))
    record = make.make("likes tea")
    admin = await Connection.open(server.settings())
    fields = ("id", record.id, "user_id", "alice", "project_id", "default", "memory_type", "semantic", "source", "api")
    text = ("content", record.content, "created_at", record.created_at, "updated_at", record.updated_at)
    await admin.run(["HSET", f"mem:{record.id}", *fields, *text, "embedding", record.embedding.tobytes()])
    await admin.aclose()
    return record


async def test_the_further_rights_are_enough_for_a_rebuild(server: ValkeyServer) -> None:
    settings = await allow(server, further_rights("`memrouter index rebuild` and `drop`"))
    record = await written_by_the_go_router(server)
    connection = await Connection.open(settings)
    index = SearchIndex(connection, settings, dimension=16, embedding_model="test-model")
    await index.ensure()
    done = await Rebuild(connection, index, embedding_model="test-model", on_progress=lambda _: None).run()
    assert done.moved == 1
    assert await index.drop()
    await connection.aclose()
    store = await opened(settings)
    assert [found.id for found in await store.get(ALICE, [record.id], now=LATER)] == [record.id]
    await store.aclose()


async def test_a_wrong_password_is_said_to_be_wrong(server: ValkeyServer) -> None:
    await ask(server, "ACL", "SETUSER", "memrouter", documented_rights())
    with pytest.raises(StoreUnavailable, match=r"username or password"):
        await opened(server.settings(username="memrouter", password="guessed", timeout=1))

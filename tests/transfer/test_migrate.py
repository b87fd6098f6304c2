"""Every memory of one store comes into another, and the report says truly whether it did."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.errors import InvalidRequest, StoreUnavailable
from memrouter.models.memory import DEFAULT_PROJECT, MemoryRecord, Scope, Source, Trust
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import EVERYTHING, Filter, MergeMode, ScanQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.stores.state import LEASES
from memrouter.testing.clock import ManualClock
from memrouter.testing.edits import edit
from memrouter.testing.records import HOSTILE_IDENTITIES, NOW, RecordFactory, plain
from memrouter.transfer.migrate import MigrateOptions, MigrateReport, MigrateState, Migration
from memrouter.transfer.progress import Unseen
from memrouter.transfer.side_file import SideFile

from .two_stores import Faulty

MODEL = HashEmbedder().info.model
DIMENSION = HashEmbedder().info.dimension
LATER = NOW + 1_000_000


class Scene:
    """Two stores in a folder."""

    def __init__(self, source: MemoryStore, target: MemoryStore, folder: Path) -> None:
        self.source = source
        self.target = target
        self.make = RecordFactory(source.capabilities)
        self.state = SideFile(folder / "state", MigrateState)
        self.said: list[str] = []

    async def migrate(self, *, resume: bool = False, identity: str = "", **options: Any) -> MigrateReport:
        scene = self

        class Heard(Unseen):
            def say(self, text: str) -> None:
                scene.said.append(text)

        migration = Migration(
            self.source,
            self.target,
            HashEmbedder(),
            options=MigrateOptions(**{"page": 7, "sample": 20, **options}),
            rng=random.Random(1),
            clock=ManualClock(),
            progress=Heard(),
            state=self.state,
            identity=identity,
        )
        return await migration.run(resume=resume)


async def opened(path: Path, *, dimension: int = DIMENSION, model: str = MODEL) -> SqliteStore:
    settings = SqliteSettings(path=str(path), synchronous="normal")
    return await SqliteStore.open(settings, dimension=dimension, embedding_model=model)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def scene(stack: AsyncExitStack, tmp_path: Path) -> Scene:
    source, target = await opened(tmp_path / "source.db"), await opened(tmp_path / "target.db")
    stack.push_async_callback(source.aclose)
    stack.push_async_callback(target.aclose)
    return Scene(source, target, tmp_path)


async def everything(store: MemoryStore) -> list[MemoryRecord]:
    return [record async for page in store.scan(ScanQuery()) for record in page.records]


def of_all_kinds(make: RecordFactory) -> list[MemoryRecord]:
    """Return memories of many users, some of them hidden, with every field set somewhere."""
    hostile = [make.make(user_id=user, project_id=user) for user in HOSTILE_IDENTITIES]
    full = make.make(
        source=Source.EXTRACTION,
        trust=Trust.TOOL,
        importance=0.123456789,
        access_count=7,
        last_accessed=NOW + 5,
        expires_at=LATER,
        conversation_id="c1",
        turn_index=0,
        role="assistant",
        project_id=DEFAULT_PROJECT,
    )
    return [*hostile, *make.many(20), full, make.make(expires_at=NOW - 1), make.make(superseded_by=full.id)]


async def test_every_field_arrives(scene: Scene) -> None:
    records = of_all_kinds(scene.make)
    await scene.source.create(records)
    report = await scene.migrate()
    assert report.complete
    assert report.outcomes.added == report.outcomes.read == len(records)
    assert [plain(record) for record in await everything(scene.target)] == [
        plain(record) for record in await everything(scene.source)
    ]
    proof = report.proof
    assert proof is not None
    assert (proof.memories, proof.equal, proof.missing, proof.only_target) == (len(records), len(records), 0, 0)
    assert proof.users == proof.whole_users == len({record.user_id for record in records})
    assert proof.source_sha256 == proof.target_sha256
    assert (proof.sampled, proof.sample_equal) == (20, 20)
    assert scene.state.read() is None
    assert scene.said == []


async def test_again_changes_nothing_more(scene: Scene) -> None:
    await scene.source.create(of_all_kinds(scene.make))
    await scene.migrate()
    before = [plain(record) for record in await everything(scene.target)]
    report = await scene.migrate()
    assert report.complete
    assert report.outcomes.kept == report.outcomes.read
    assert [plain(record) for record in await everything(scene.target)] == before


async def test_again_brings_over_what_has_changed_since(scene: Scene) -> None:
    first, second = scene.make.many(2)
    await scene.source.create([first, second])
    await scene.migrate()
    await edit(scene.source, Scope("alice"), first.id, now=LATER, importance=1.0)
    await scene.source.create([scene.make.make()])
    await edit(scene.target, Scope("alice"), second.id, now=LATER, importance=0.25)
    report = await scene.migrate()
    assert report.complete
    assert (report.outcomes.added, report.outcomes.replaced, report.outcomes.kept) == (1, 1, 1)
    assert report.proof is not None
    assert (report.proof.equal, report.proof.different) == (2, 1)
    found = {record.id: record.importance for record in await everything(scene.target)}
    assert (found[first.id], found[second.id]) == (1.0, 0.25)


@pytest.mark.parametrize(("mode", "different", "text"), [("skip", 1, "theirs"), ("replace", 0, "ours")])
async def test_the_mode_says_whose_version_stays(scene: Scene, mode: str, different: int, text: str) -> None:
    await scene.source.create([scene.make.make("ours", id="m1")])
    await scene.target.create([scene.make.make("theirs", id="m1"), scene.make.make(user_id="bob")])
    report = await scene.migrate(mode=MergeMode(mode))
    assert report.complete
    assert report.proof is not None
    assert (report.proof.different, report.proof.only_target) == (different, 1)
    assert (report.proof.source_sha256 == report.proof.target_sha256) == (different == 0)
    (found,) = await scene.target.get(Scope("alice"), ["m1"], now=NOW)
    assert found.content == text


async def test_vectors_of_another_model_are_made_anew_and_that_is_said(
    stack: AsyncExitStack, scene: Scene, tmp_path: Path
) -> None:
    scene.source = await opened(tmp_path / "other.db", dimension=24, model="other-model")
    stack.push_async_callback(scene.source.aclose)
    make = RecordFactory(scene.source.capabilities)
    await scene.source.create(make.many(15))
    report = await scene.migrate()
    assert report.complete
    assert report.outcomes.reembedded == 15
    assert "all 15 memories are embedded again" in scene.said[0]
    record = (await everything(scene.target))[0]
    (vector,) = await HashEmbedder().embed([record.content])
    assert record.embedding_model == MODEL
    assert record.embedding.tobytes() == vector.tobytes()


async def test_a_memory_whose_id_is_somebody_elses_gets_one_of_its_own(scene: Scene) -> None:
    await scene.source.create([scene.make.make("mine", id="m1"), scene.make.make("another of mine")])
    await scene.target.create([scene.make.make("bob's", id="m1", user_id="bob")])
    for _ in range(2):
        report = await scene.migrate()
        assert report.complete
        assert report.outcomes.renamed == 1
        assert report.proof is not None
        assert (report.proof.equal, report.proof.only_target) == (2, 1)
    assert await scene.target.count("alice") == 2


async def test_a_dry_run_writes_nothing_and_tells_what_would_happen(scene: Scene) -> None:
    records = scene.make.many(10)
    await scene.source.create(records)
    await scene.target.create([records[0]])
    report = await scene.migrate(dry_run=True)
    assert (report.outcomes.added, report.outcomes.kept, report.proof) == (9, 1, None)
    assert await scene.target.count(None) == 1
    assert scene.state.read() is None


@pytest.mark.parametrize("mode", MergeMode)
async def test_the_facts_beside_the_memories_go_too_but_no_lease(scene: Scene, mode: MergeMode) -> None:
    now, ours, theirs = ManualClock().ms, scene.source.state, scene.target.state
    for space, key, expires_at in (
        ("keys", "a", None), ("keys", "b", now + 1), ("keys", "gone", now), ("marks", "c", None), (LEASES, "d", now + 9)
    ):  # fmt: skip
        await ours.put(space, key, f"{space} {key}".encode(), now=now - 1, expires_at=expires_at)
    await theirs.put("keys", "a", b"theirs", now=now)
    await theirs.put("keys", "own", b"theirs", now=now)
    assert (await scene.migrate(mode=mode, dry_run=True)).facts == (2 if mode is MergeMode.SKIP else 3)
    assert [entry.key async for entry in theirs.entries("marks", now=now)] == []
    report = await scene.migrate(mode=mode)
    assert report.as_dict()["facts"] == (2 if mode is MergeMode.SKIP else 3)
    assert (await scene.migrate(mode=mode)).facts == 0
    found = {
        entry.key: (entry.value, entry.expires_at)
        async for space in theirs.spaces() async for entry in theirs.entries(space, now=now)
    }  # fmt: skip
    assert found == {
        "a": (b"theirs" if mode is MergeMode.SKIP else b"keys a", None),
        "b": (b"keys b", now + 1),
        "c": (b"marks c", None),
        "own": (b"theirs", None),
    }


class Tiring(Faulty):
    """A target that fails in the middle of the fourth page, once it has been written."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner, random.Random(1))
        self._left = 7

    def fail(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailable("tired")


async def test_a_migration_that_broke_off_goes_on_where_it_was(scene: Scene) -> None:
    await scene.source.create(scene.make.many(60))
    whole = scene.target
    scene.target = Tiring(whole).store
    with pytest.raises(StoreUnavailable):
        await scene.migrate()
    state = scene.state.read()
    assert state is not None
    assert state.outcomes.read == 21
    assert await whole.count(None) == 28
    scene.target = whole
    report = await scene.migrate(resume=True)
    assert report.complete
    assert (report.outcomes.read, report.outcomes.added, report.outcomes.kept) == (60, 53, 7)
    assert await scene.target.count(None) == 60
    assert scene.state.read() is None


async def test_another_migrations_state_is_refused(scene: Scene) -> None:
    state = MigrateState(options="elsewhere:newer", position="", outcomes=(await scene.migrate()).outcomes)
    scene.state.write(state)
    with pytest.raises(InvalidRequest, match="between other stores"):
        await scene.migrate(resume=True)


async def test_without_a_state_everything_is_read_anew(scene: Scene) -> None:
    await scene.source.create(scene.make.many(3))
    assert (await scene.migrate(resume=True)).outcomes.read == 3
    assert "nothing to go on with" in scene.said[0]


async def test_what_is_missing_is_found_out(scene: Scene) -> None:
    await scene.source.create(scene.make.many(30))
    await scene.migrate()
    scene.state.write(await _done(scene))
    await scene.target.delete(Scope("alice"), Filter(ids=frozenset({"m000000000003", "m000000000030"})))
    report = await scene.migrate(resume=True, sample=100)
    assert not report.complete
    assert report.proof is not None
    assert (report.proof.missing, report.proof.whole_users) == (2, 0)
    assert report.proof.source_sha256 != report.proof.target_sha256


@pytest.mark.parametrize("change", [{"importance": 0.9}, {"superseded_by": "m1"}])
async def test_a_field_that_came_out_different_is_found_by_the_sample(scene: Scene, change: dict[str, Any]) -> None:
    (record,) = scene.make.many(1)
    await scene.source.create([record])
    await scene.migrate()
    await scene.target.delete(Scope("alice"), EVERYTHING)
    await scene.target.merge([scene.make.make(record.content, **{**fields(record), **change})], mode=MergeMode.SKIP)
    report = await scene.migrate()
    assert report.proof is not None
    assert (report.proof.equal, report.proof.sample_equal, report.complete) == (1, 0, False)


async def test_what_should_have_been_replaced_is_found_out(scene: Scene) -> None:
    (record,) = scene.make.many(1)
    await scene.source.create([record])
    await scene.migrate()
    scene.state.write(await _done(scene))
    await edit(scene.source, Scope("alice"), record.id, now=LATER, importance=0.9)
    report = await scene.migrate(resume=True)
    assert report.proof is not None
    assert (report.proof.different, report.proof.unexplained, report.complete) == (1, 1, False)


def fields(record: MemoryRecord) -> dict[str, Any]:
    return {"id": record.id, "created_at": record.created_at, "updated_at": record.updated_at}


async def _done(scene: Scene) -> MigrateState:
    """Return the state of a migration that has read everything, and only has to prove it."""
    position = ""
    async for page in scene.source.scan(ScanQuery()):
        position = page.position
    report = await scene.migrate()
    return MigrateState(options=":newer", position=position, outcomes=report.outcomes)

"""All vectors are made anew while routers serve: nothing is lost, doubled or compared with another model's."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from memrouter.config.memory import MemorySettings, SqliteSettings, ValkeySettings
from memrouter.errors import SchemaMismatch, StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.base import MemoryStore
from memrouter.stores.embedding_space import Phase
from memrouter.stores.query import Change, Filter, ListQuery, MergeMode, StoreQuery
from memrouter.stores.reindexing import Reindexing
from memrouter.testing.edits import edit
from memrouter.testing.milvus import elsewhere
from memrouter.testing.records import NOW
from memrouter.testing.valkey import apart, serving, some_server
from memrouter.transfer.reindex import FEW, Reindex

from .reindex_cases import LONGER, NEW, OLD, House, Model, Records, Tasks, drop_all, without_vectors

LATER = NOW + 1_000_000

AT_ONCE = ("sqlite", "valkey", "valkey as in a cluster")
"""Stores that are made at once; every test runs on them that does not name its own."""
MILVUS_TOO = (*AT_ONCE, "milvus")
"""With the store where a collection takes seconds to make."""


def on(*stores: str) -> pytest.MarkDecorator:
    """Run a test on these stores."""
    return pytest.mark.parametrize("new_house", stores, indirect=True)


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        yield settings


@pytest.fixture(params=AT_ONCE)
def new_house(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], House]:
    """Make empty stores."""
    numbers = iter(range(1000))

    def made() -> House:
        if request.param == "sqlite":
            sqlite = SqliteSettings(path=str(tmp_path / f"{next(numbers)}.db"), synchronous="normal")
            return House(MemorySettings(backend="sqlite", sqlite=sqlite))
        if request.param == "milvus":
            milvus = elsewhere(request.getfixturevalue("milvus_server"), num_partitions=1)
            request.addfinalizer(lambda: asyncio.run(drop_all(milvus)))
            return House(MemorySettings(backend="milvus", milvus=milvus))
        settings = apart(request.getfixturevalue("server"))
        return House(MemorySettings(backend="valkey", valkey=settings))

    if request.param == "valkey as in a cluster":
        patched = request.getfixturevalue("monkeypatch")
        from memrouter.stores.valkey.connection import Connection

        real = Connection.__init__

        def spread(self: Connection, *args: Any) -> None:
            real(self, *args)
            self.cluster = True

        patched.setattr(Connection, "__init__", spread)
    return made


@pytest.fixture
def house(new_house: Callable[[], House]) -> House:
    return new_house()


def a_search(model: Model, text: str, *, scan_limit: int = 100) -> StoreQuery:
    return StoreQuery(vector=model.vector(text), k=5, now=LATER, scan_limit=scan_limit)


async def refused(work: Awaitable[Any], *words: str) -> None:
    with pytest.raises(SchemaMismatch) as caught:
        await work
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("model", [NEW, LONGER], ids=["same dimension", "another dimension"])
async def test_every_memory_gets_its_new_vector_and_keeps_all_else(house: House, model: Model) -> None:
    before = await house.fill(OLD, 25)
    store = await house.open(OLD)
    make = Records(store, OLD)
    hidden = make.make("gone", id="hidden-1", superseded_by="m000000000001", access_count=3, last_accessed=NOW)
    odd = make.make('né "quoted" / \\ 🧠', id="odd-1", user_id="o'brien/{x}", turn_index=4, role="user", expires_at=NOW)
    await store.create([hidden, odd])
    await store.aclose()
    report = await house.reindex(model, step=7)
    after = await house.kept(model)
    assert without_vectors(after) == without_vectors({**before, "hidden-1": hidden, "odd-1": odd})
    assert (report.memories, report.embedded, report.reused, report.caught_up) == (27, 27, 0, 0)
    assert (report.before, report.after, report.unchanged) == (OLD.space, model.space, False)


async def test_memories_are_found_by_their_new_vectors_large_owners_too(house: House) -> None:
    before = await house.fill(OLD, 30, users=1)
    await house.reindex(LONGER)
    store = await house.open(LONGER)
    await serving(store)
    wanted = list(before.values())[7]
    for limit in (100, 0):
        answer = await store.search(Scope("user 0"), a_search(LONGER, wanted.content, scan_limit=limit))
        assert answer.records is not None
        assert answer.scores is not None
        assert answer.records[0].id == wanted.id
        assert answer.scores[0] == pytest.approx(1.0)
    await store.aclose()


async def test_a_second_run_has_nothing_to_do(house: House) -> None:
    await house.fill(OLD, 5)
    await house.reindex(NEW)
    again = await house.reindex(NEW)
    assert (again.unchanged, again.memories, again.embedded) == (True, 5, 0)
    await house.kept(NEW)


async def test_an_empty_store_is_switched_at_once(house: House) -> None:
    await (await house.open(OLD)).aclose()
    report = await house.reindex(NEW)
    assert (report.memories, report.embedded) == (0, 0)
    assert await house.kept(NEW) == {}


async def test_a_dry_run_writes_nothing(house: House) -> None:
    before = await house.fill(OLD, 5)
    store = await house.reindexing(NEW)
    report = await Reindex(store, NEW, progress=Tasks()).predict()
    assert (report.memories, report.embedded, report.reused, report.dry_run) == (5, 5, 0, True)
    assert (await store.survey()).under_way is None
    await store.aclose()
    assert without_vectors(await house.kept(OLD)) == without_vectors(before)
    same = await house.reindexing(OLD)
    assert (await Reindex(same, OLD, progress=Tasks()).predict()).unchanged
    await same.aclose()


async def test_another_model_is_refused_with_the_command_that_mends_it(house: House) -> None:
    await house.fill(OLD, 1)
    command = "memrouter reindex --embedding-model model-c --dimension 24 --config FILE"
    await refused(house.open(LONGER), "keeps vectors of model-a (16 numbers)", "back to model-a, or run: ", command)


@on(*MILVUS_TOO)
async def test_while_a_reindex_is_under_way_the_new_model_is_refused_and_the_old_one_serves(house: House) -> None:
    before = await house.fill(OLD, 5)
    store = await house.reindexing(NEW)
    assert await store.begin()
    command = "memrouter reindex --embedding-model model-b --dimension 16 --config FILE"
    await refused(house.open(NEW), "reindex to model-b (16 numbers) is under way", f"finish it with: {command}")
    await refused(house.open(LONGER), "reindex to model-b (16 numbers) is under way", command)
    assert without_vectors(await house.kept(OLD)) == without_vectors(before)
    other = await house.reindexing(LONGER)
    await refused(other.begin(), "reindex to model-b (16 numbers) is under way", command, "--abandon")
    await other.aclose()
    await store.aclose()


@on(*MILVUS_TOO)
async def test_a_sealed_store_is_read_and_takes_nothing_new(house: House) -> None:
    await house.fill(OLD, 5)
    router = await house.open(OLD)
    make = Records(router, OLD)
    store = await house.reindexing(NEW)
    await store.begin()
    await store.seal()
    with pytest.raises(StoreUnavailable, match="about to switch to vectors of model-b"):
        await router.create([make.make(id="late-1")])
    with pytest.raises(StoreUnavailable, match="about to switch"):
        await router.merge([make.make(id="late-2")], mode=MergeMode.REPLACE)
    answer = await router.search(Scope("user 0"), a_search(OLD, "fact number 1"))
    assert answer.records
    assert await store.switch() is None
    assert await store.abandon()
    assert await router.create([make.make(id="late-3")]) == ["late-3"]
    await store.aclose()
    await router.aclose()


@on(*MILVUS_TOO)
async def test_a_reindex_can_be_given_up_until_it_switches(house: House) -> None:
    before = await house.fill(OLD, 5)
    store = await house.reindexing(NEW)
    assert not await store.abandon()
    await store.begin()
    async for batch in store.pending(step=2):
        await store.put(batch.texts, await NEW.embed([text.content for text in batch.texts]))
    assert await store.abandon()
    survey = await store.survey()
    assert (survey.kept, survey.under_way, survey.made, survey.memories) == (OLD.space, None, 0, 5)
    assert without_vectors(await house.kept(OLD)) == without_vectors(before)
    with pytest.raises(StoreUnavailable, match="ended by another process"):
        await store.put(batch.texts, await NEW.embed([text.content for text in batch.texts]))
    await store.aclose()
    assert (await house.reindex(LONGER)).embedded == 5


@on(*MILVUS_TOO)
async def test_what_is_written_meanwhile_is_caught_up(house: House) -> None:
    before = await house.fill(OLD, 40, users=2)
    router = await house.open(OLD)
    make = Records(router, OLD)
    added = [make.make(id=f"new-{number}", user_id=f"user {number}") for number in range(4)]
    ids = list(before)

    class Writing(Model):
        """Has a router write while it embeds for the second time."""

        calls = 0

        async def embed(self, texts: Any) -> Any:
            self.calls += 1
            if self.calls == 2:
                await router.create(added)
                for number, memory_id in enumerate(ids[:6]):
                    text = f"rewritten {number}"
                    scope, vector = Scope(before[memory_id].user_id), OLD.vector(text)
                    assert await edit(router, scope, memory_id, now=LATER, content=text, embedding=vector)
                for memory_id in ids[6:9]:
                    where = Filter(ids=frozenset({memory_id}))
                    assert await router.delete(Scope(before[memory_id].user_id), where) == 1
            return await super().embed(texts)

    store = await house.reindexing(NEW)
    report = await Reindex(store, Writing("model-b"), progress=Tasks(), step=10).run()
    await store.aclose()
    await router.aclose()
    after = await house.kept(NEW)
    assert set(after) == (set(ids) - set(ids[6:9])) | {record.id for record in added}
    assert {after[memory_id].content for memory_id in ids[:6]} == {f"rewritten {number}" for number in range(6)}
    assert report.memories == len(after)
    assert report.caught_up >= 1


async def test_a_vector_of_a_text_that_has_changed_is_dropped(house: House) -> None:
    before = await house.fill(OLD, 3, users=1)
    store = await house.reindexing(NEW)
    await store.begin()
    (batch,) = [batch async for batch in store.pending(step=10)]
    router = await house.open(OLD)
    rewritten, deleted, _ = before
    vector = OLD.vector("other")
    await edit(router, Scope("user 0"), rewritten, now=LATER, content="other", embedding=vector)
    await router.delete(Scope("user 0"), Filter(ids=frozenset({deleted})))
    assert await store.put(batch.texts, await NEW.embed([text.content for text in batch.texts])) == 1
    (left,) = [batch async for batch in store.pending(step=10)]
    assert (left.looked, [text.content for text in left.texts]) == (2, ["other"])
    await store.aclose()
    await router.aclose()


@on(*MILVUS_TOO)
async def test_a_new_vector_goes_with_the_text_it_is_of(house: House) -> None:
    before = await house.fill(OLD, 4, users=1)
    store = await house.reindexing(NEW)
    await store.begin()
    async for batch in store.pending(step=10):
        assert await store.put(batch.texts, await NEW.embed([text.content for text in batch.texts])) == 4
    router = await house.open(OLD)
    rewritten, deleted, replaced, _ = before
    vector = OLD.vector("other")
    await edit(router, Scope("user 0"), rewritten, now=LATER, content="other", embedding=vector)
    await router.delete(Scope("user 0"), Filter(ids=frozenset({deleted})))
    fresh = replace(before[replaced], content="third", embedding=OLD.vector("third"))
    await router.merge([fresh], mode=MergeMode.REPLACE)
    assert (await store.survey()).made == 1
    await router.aclose()
    await store.aclose()


@on(*MILVUS_TOO)
async def test_a_router_of_the_old_model_is_told_to_restart_after_the_switch(house: House) -> None:
    before = await house.fill(OLD, 9)
    router = await house.open(OLD)
    make = Records(router, OLD)
    known = next(iter(before))
    scope = Scope(before[known].user_id)
    await house.reindex(NEW)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: router.create([make.make(id="late-1", user_id="somebody new")]),
        lambda: router.merge([make.make(id="late-2")], mode=MergeMode.SKIP),
        lambda: router.commit(Change(scope.user_id, after=1, put=[make.make(id="late-3", user_id=scope.user_id)])),
        lambda: router.get(scope, [known], now=LATER),
        lambda: router.list(scope, ListQuery(limit=5, now=LATER)),
        lambda: router.search(scope, a_search(OLD, "fact number 1")),
        lambda: router.search(scope, a_search(OLD, "fact number 1", scan_limit=0)),
    ]
    for call in calls:
        await refused(call(), "was reindexed", "vectors of model-b (16 numbers) now", "restart memrouter")
    await refused(router.check(), "model-b")
    await router.aclose()
    assert without_vectors(await house.kept(NEW)) == without_vectors(before)


async def test_a_router_of_another_dimension_is_told_to_restart_too(house: House) -> None:
    before = await house.fill(OLD, 3, users=1)
    router = await house.open(OLD)
    await house.reindex(LONGER)
    await refused(router.get(Scope("user 0"), list(before), now=LATER), "was reindexed", "model-c (24 numbers)")
    await router.aclose()


class _Broken(StoreUnavailable):
    """Where a run was broken off."""


def break_after(store: Reindexing, calls: int) -> None:
    """Have the store's part of a reindex fail once it has done so many things, each of them whole."""
    left = calls

    def broken(inner: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            result = await inner(*args, **options)
            left -= 1
            if left < 0:
                raise _Broken("broken off")
            return result

        return call

    parts = vars(store)
    for part, names in (("_writer", ["run"]), ("_reader", ["run"]), ("_connection", ["run", "attempt"])):
        for name in names if part in parts else ():
            setattr(parts[part], name, broken(getattr(parts[part], name)))


@on("sqlite", "valkey")  # these are the steps of a file and of one server; for Milvus see test_milvus_reindex.py
async def test_it_can_be_broken_off_at_every_step_and_run_again(
    new_house: Callable[[], House], request: pytest.FixtureRequest
) -> None:
    steps, finished = 0, False
    while not finished:
        house = new_house()
        before = await house.fill(OLD, 5, users=2)
        store = await house.reindexing(NEW)
        break_after(store, steps)
        with suppress(_Broken):
            await Reindex(store, NEW, progress=Tasks(), step=2).run()
            finished = True
        await store.aclose()
        with suppress(SchemaMismatch):  # after the switch
            assert without_vectors(await house.kept(OLD)) == without_vectors(before)
        report = await house.reindex(NEW)
        assert report.memories == 5
        assert without_vectors(await house.kept(NEW)) == without_vectors(before)
        steps += 1
    assert steps > 5


async def test_what_an_earlier_run_has_embedded_is_not_embedded_again(house: House) -> None:
    await house.fill(OLD, 20, users=2)
    store = await house.reindexing(NEW)
    await store.begin()
    number = 0
    async for batch in store.pending(step=10):
        number += await store.put(batch.texts, await NEW.embed([text.content for text in batch.texts]))
        break
    assert (await Reindex(store, NEW, progress=Tasks()).predict()).embedded == 20 - number
    await store.aclose()
    report = await house.reindex(NEW)
    assert (report.reused, report.embedded, report.memories) == (number, 20 - number, 20)


class Watch:
    """A router that reads and writes until it is refused, and notes what was acknowledged."""

    def __init__(self, store: MemoryStore, model: Model, user: str) -> None:
        self.store, self.model, self.user = store, model, user
        self.kept: dict[str, str] = {}
        self.unsure = ""
        self.searches = 0

    async def write(self) -> None:
        make = Records(self.store, self.model)
        for number in range(100_000):
            fresh = make.make(f"{self.user} says {number}", id=f"{self.user}-{number}", user_id=self.user)
            await self.store.create([fresh])
            self.kept[fresh.id] = fresh.content
            self.unsure = fresh.id  # a change that is refused may have been made all the same
            if number % 3 == 1:
                text = f"{self.user} corrects {number}"
                vector = self.model.vector(text)
                if await edit(self.store, Scope(self.user), fresh.id, now=LATER, content=text, embedding=vector):
                    self.kept[fresh.id] = text
            if number % 5 == 4:
                await self.store.delete(Scope(self.user), Filter(ids=frozenset({fresh.id})))
                del self.kept[fresh.id]

    async def read(self) -> None:
        for number in range(100_000):
            await self.search(scan_limit=number % 2 * 100_000)

    async def search(self, *, scan_limit: int) -> None:
        """Search, and see that every score is that of two vectors of this router's model."""
        question = self.model.vector(f"{self.user} asks")
        query = StoreQuery(vector=question, k=5, now=LATER, scan_limit=scan_limit)
        answer = await self.store.search(Scope(self.user), query)
        assert answer.records is not None
        assert answer.scores is not None
        for record, score in zip(answer.records, answer.scores, strict=True):
            assert record.embedding_model == self.model.info.model
            vector = self.model.vector(record.content)
            assert record.embedding.tobytes() == vector.tobytes()
            assert score == pytest.approx((1 + float(np.dot(vector, question))) / 2, abs=1e-5)
        self.searches += 1


@on(*MILVUS_TOO)
async def test_no_search_compares_vectors_of_two_models_while_routers_read_and_write(house: House) -> None:
    await house.fill(OLD, 300, users=3)
    stores = [await house.open(OLD) for _ in range(2)]
    watches = [Watch(store, OLD, user) for store, user in zip(stores, ("user 0", "user 9"), strict=True)]
    tasks = [asyncio.create_task(work()) for watch in watches for work in (watch.write, watch.read)]
    reindexing = asyncio.create_task(house.reindex(NEW, step=20))
    while not reindexing.done():
        with suppress(SchemaMismatch):
            opened = await house.open(NEW)
            await Watch(opened, NEW, "user 0").search(scan_limit=100_000)
            await opened.aclose()
        await asyncio.sleep(0.02)
    report = await reindexing
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(ended, SchemaMismatch | StoreUnavailable), repr(ended)
    for store in stores:
        await store.aclose()
    after = {key: record.content for key, record in (await house.kept(NEW)).items()}
    for watch in watches:
        assert watch.searches > 0
        watch.kept.pop(watch.unsure, None)
        assert watch.kept.items() <= after.items()
    assert len(after) == report.memories >= 300


async def test_few_late_memories_do_not_ask_for_another_pass(house: House) -> None:
    await house.fill(OLD, FEW)
    store, tasks = await house.reindexing(NEW), Tasks()
    await Reindex(store, NEW, progress=tasks).run()
    await store.aclose()
    assert tasks.begun == ["embedding", "switching", "removing what is left"]


@on("valkey", "valkey as in a cluster")  # the switch of a file is one transaction
async def test_an_interrupted_switch_can_only_be_finished(new_house: Callable[[], House]) -> None:
    house = new_house()
    await house.fill(OLD, 5, users=2)
    for steps in range(100):
        store = await house.reindexing(NEW)
        break_after(store, steps)
        with suppress(_Broken):
            await Reindex(store, NEW, progress=Tasks()).run()
        await store.aclose()
        look = await house.reindexing(NEW)
        reindex = (await look.survey()).under_way
        if reindex is not None and reindex.phase is Phase.SWITCHING:
            await refused(look.abandon(), "can only be finished: memrouter reindex --embedding-model model-b")
            await refused(house.open(OLD), "no router can use it", "finish it with")
            await refused(house.open(NEW), "no router can use it", "finish it with")
            other = await house.reindexing(LONGER)
            await refused(other.begin(), "can only be finished")
            await other.aclose()
            await look.aclose()
            assert (await house.reindex(NEW)).memories == 5
            return
        await look.aclose()
    pytest.fail("no run was broken off in the switch")

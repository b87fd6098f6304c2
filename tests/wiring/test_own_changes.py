"""What a router has written itself is found without reading the owner from the store again."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.settings import Settings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.policy import resolve_policy
from memrouter.memory.retrieval.corpus import build_corpus, follow
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import MemoryRecord, MemoryType, Scope
from memrouter.observability.metrics import Metrics
from memrouter.observability.tracing import NOT_TRACED
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import ALL_TYPES, Candidates, Change, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import text_vector
from memrouter.wiring.foundation import Foundation
from memrouter.wiring.memory_service import open_memory_service

ANN = Scope("ann")
EMBEDDER = HashEmbedder(64)


class ReadingStore(InstrumentedStore):
    """Counts the searches that read memories."""

    reads = 0

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        answer = await super().search(scope, query)
        self.reads += bool(answer.records)
        return answer


class Desk:
    """Two services over one file, as two routers have them."""

    def __init__(self, stores: list[ReadingStore], services: list[MemoryService], settings: Settings) -> None:
        self.stores = stores
        self.services = services
        self.policy = resolve_policy(settings.memory, None, default_threshold=0.5).recall

    async def say(self, *contents: str, router: int = 0, user: str = "ann") -> list[MemoryRecord]:
        return await self.services[router].remember(Scope(user), [MemoryDraft(content) for content in contents])

    async def found(self, text: str, *, router: int = 0, user: str = "ann") -> list[str]:
        recall = await self.services[router].recall(Scope(user), text, self.policy)
        return [hit.record.content for hit in recall.hits]

    async def best(self, text: str, *, router: int = 0) -> str:
        return (await self.found(text, router=router))[0]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    memory = {"sqlite": {"path": str(tmp_path / "m.db"), "synchronous": "normal"}, "redaction": {"enabled": False}}
    settings = Settings.model_validate({"global": {"stores": {"memory": memory}}})
    clock, stores, services = ManualClock(), [], []
    async with AsyncExitStack() as closing:
        for number in range(2):
            metrics = Metrics()
            inner = await SqliteStore.open(settings.memory.sqlite, dimension=64, embedding_model=EMBEDDER.info.model)
            closing.push_async_callback(inner.aclose)
            stores.append(ReadingStore(inner, observer=metrics, clock=clock))
            base = Foundation(
                settings=settings,
                metrics=metrics,
                tracer=NOT_TRACED,
                clock=clock,
                rng=random.Random(number),
                closing=closing,
            )
            services.append(await open_memory_service(base, stores[-1], embedder=EMBEDDER, analyzer=Analyzer(), env={}))
        yield Desk(stores, services, settings)


async def test_what_was_just_written_is_found_without_reading_the_owner_again(desk: Desk) -> None:
    await desk.say("my cat is called Luna")
    assert await desk.best("what is my cat called?") == "my cat is called Luna"
    reads = desk.stores[0].reads
    await desk.say("my dog is called Rex")
    assert await desk.best("what is my dog called?") == "my dog is called Rex"
    assert desk.stores[0].reads == reads


async def test_what_was_just_forgotten_is_not_found(desk: Desk) -> None:
    cat, _ = await desk.say("my cat is called Luna", "my dog is called Rex")
    assert await desk.best("what is my cat called?") == "my cat is called Luna"
    await desk.services[0].forget(ANN, cat.id)
    assert "my cat is called Luna" not in await desk.found("what is my cat called?")


async def test_what_another_router_wrote_in_between_is_found(desk: Desk) -> None:
    await desk.say("my cat is called Luna")
    await desk.found("cat")
    await desk.say("my parrot is called Coco", router=1)
    await desk.say("my dog is called Rex")
    assert await desk.best("what is my parrot called?") == "my parrot is called Coco"
    assert await desk.best("what is my dog called?", router=1) == "my dog is called Rex"


async def test_many_changes_at_once_are_read_anew_and_complete(desk: Desk) -> None:
    await desk.say("my cat is called Luna")
    await desk.found("cat")
    for start in range(0, 120, 40):
        await desk.say(*(f"fact number {number} of a list" for number in range(start, start + 40)))
    assert await desk.best("fact number 101") == "fact number 101 of a list"


async def test_changes_of_one_user_show_nothing_to_another(desk: Desk) -> None:
    await desk.say("my cat is called Luna")
    await desk.say("my dog is called Rex", user="bob")
    await desk.found("cat")
    await desk.found("dog", user="bob")
    await desk.say("my parrot is called Coco")
    assert await desk.found("what is my parrot called?", user="bob") == ["my dog is called Rex"]


def _some(draw: Any, *, number: int) -> MemoryRecord:
    content = f"text {draw(st.integers(0, 4))}"
    return MemoryRecord(
        id=f"m{draw(st.integers(0, 9))}",
        user_id="ann",
        embedding=text_vector(content, 8),
        embedding_model="test",
        project_id=draw(st.sampled_from(["default", "other"])),
        type=draw(st.sampled_from(list(MemoryType))),
        content=content,
        created_at=1 + draw(st.integers(0, 3)),
        superseded_by=draw(st.sampled_from([None, None, "m1"])),
        quarantine=draw(st.sampled_from([None, None, "rule"])),
        updated_at=number + 1,
    )


@given(data=st.data())
async def test_following_changes_gives_what_reading_anew_gives(data: st.DataObject) -> None:
    draw = data.draw
    types = draw(st.sampled_from([ALL_TYPES, frozenset({MemoryType.EPISODIC})]))
    changes, held = [], dict[str, MemoryRecord]()
    for number in range(draw(st.integers(1, 4))):
        put = {each.id: each for each in (_some(draw, number=number) for _ in range(draw(st.integers(0, 3))))}
        gone = frozenset(draw(st.sets(st.sampled_from([f"m{i}" for i in range(10)]), max_size=2))) - put.keys()
        changes.append(Change("ann", after=number, put=list(put.values()), remove=gone))
        held = {name: each for name, each in held.items() if name not in gone} | put
    analyzer = Analyzer()
    empty = await build_corpus([], analyzer=analyzer, generation=0)
    followed = await follow(empty, changes, analyzer=analyzer, generation=len(changes), scope=ANN, types=types)
    shown = [
        each
        for each in held.values()
        if not each.superseded_by and not each.quarantine and each.type in types and each.project_id == "default"
    ]
    anew = await build_corpus(shown, analyzer=analyzer, generation=len(changes))
    assert followed.records == anew.records
    assert followed.terms == anew.terms
    assert np.array_equal(followed.matrix, anew.matrix)
    assert followed.generation == anew.generation

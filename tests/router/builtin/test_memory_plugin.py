"""The plugin's switches: what recalls, what is stored, and what a finished turn hands over."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from inspect import getclosurevars
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.config.settings import Settings
from memrouter.embeddings.base import Embedder
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.writer import FinishedTurn
from memrouter.models.memory import Matrix, MemoryRecord, Scope, Trust
from memrouter.models.turn import Identity, MemoryStatus, Reply, Turn
from memrouter.observability.metrics import Metrics
from memrouter.router.builtin.memory_plugin import INLINE_CHARS, MemoryRecall
from memrouter.router.builtin.memory_policies import RoutePolicies
from memrouter.stores.base import MemoryStore
from memrouter.stores.instrumented import InstrumentedStore
from memrouter.stores.query import Candidates, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.turns import chat_turn

QUESTION = "What is my canary called, please?"
REPLY = Reply("Your canary is called Figaro, as you told me.", status=200, complete=True)
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}


class Words:
    """Weighs a memory by its words."""

    def at_most(self, record: MemoryRecord) -> int:
        return self.count(record)

    def count(self, record: MemoryRecord) -> int:
        return len(record.content.split())


class Desk:
    """A plugin over a real store, and what it handed over."""

    def __init__(
        self, service: MemoryService, plugin: MemoryRecall, finished: list[FinishedTurn], arrived: list[None]
    ) -> None:
        self.service = service
        self.plugin = plugin
        self.finished = finished
        self.arrived = arrived

    async def chat(self, *messages: object, decision: str = "", auto_store: bool | None = None) -> Turn:
        turn = chat_turn(*(messages or (QUESTION,)), identity=Identity("anna"), decision=decision)
        turn.auto_store = auto_store
        await self.plugin.before_upstream(turn)
        await self.plugin.after_response(turn, REPLY)
        return turn


@asynccontextmanager
async def open_desk(
    folder: Path,
    *,
    route: dict[str, Any] | None = None,
    max_seconds: float = 5,
    embedder: Embedder | None = None,
    searched: Callable[[MemoryStore], MemoryStore] = lambda store: store,
    waits_ms: int = 0,
    **memory: Any,
) -> AsyncIterator[Desk]:
    decision = {"name": "own", "plugins": [{"type": "memory", "configuration": route or {}}]}
    settings = Settings.model_validate({"routing": {"decisions": [decision]}, "global": {"stores": {"memory": memory}}})
    clock, finished, arrived = ManualClock(), list[FinishedTurn](), list[None]()

    async def arrive() -> None:
        arrived.append(None)
        clock.ms += waits_ms

    store = await SqliteStore.open(
        SqliteSettings(path=str(folder / "m.db"), synchronous="normal"), dimension=64, embedding_model="hash-64"
    )
    retriever = Retriever(
        store=searched(store),
        embedder=embedder or HashEmbedder(64),
        working_set=WorkingSet(max_bytes=1 << 20),
        analyzer=Analyzer(),
        clock=clock,
        scan_limit=100,
    )
    service = MemoryService.configured(
        settings.memory, store=store, embedder=HashEmbedder(64), retriever=retriever, clock=clock, rng=Random(1)
    )
    policies = RoutePolicies(
        settings.memory,
        settings.routing.decisions,
        default_threshold=0.5,
        algorithms=ReflectionAlgorithms(),
        weigher=Words(),
    )
    plugin = MemoryRecall(
        service=service,
        policies=policies,
        metrics=Metrics(),
        clock=clock,
        max_seconds=max_seconds,
        rewriter=None,
        store=finished.append,
        count=lambda scope, ids: None,
        arrived=arrive,
    )
    await service.remember(Scope("anna"), [MemoryDraft("My canary is called Figaro.")])
    try:
        yield Desk(service, plugin, finished, arrived)
    finally:
        await store.aclose()


def status(turn: Turn) -> tuple[MemoryStatus, str]:
    assert turn.memory is not None
    return turn.memory.status, turn.memory.reason


async def test_recall_and_saving_are_switched_apart_for_all_routes(tmp_path: Path) -> None:
    async with open_desk(tmp_path, recall=False) as desk:
        assert status(await desk.chat()) == (MemoryStatus.POLICY_BLOCKED, "recall_off")
        assert len(desk.finished) == 1


async def test_a_route_switches_recall_for_itself(tmp_path: Path) -> None:
    async with open_desk(tmp_path, recall=False, route={"recall": True, "auto_store": False}) as desk:
        assert status(await desk.chat())[0] is MemoryStatus.POLICY_BLOCKED
        assert status(await desk.chat(decision="own"))[0] is MemoryStatus.USED
        assert len(desk.finished) == 1


async def test_recall_is_switched_for_one_user_and_saving_goes_on(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.service.switches.set("anna", recall=False)
        turn = await desk.chat()
        assert status(turn) == (MemoryStatus.POLICY_BLOCKED, "user")
        assert turn.draft.render() == turn.request.body
        assert len(desk.finished) == 1
        await desk.service.switches.set("anna", recall=True)
        assert status(await desk.chat())[0] is MemoryStatus.USED


async def test_a_client_can_say_of_one_turn_whether_it_is_stored(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.chat(auto_store=False)
        assert desk.finished == []
        await desk.chat(auto_store=True)
        assert len(desk.finished) == 1


async def test_tool_output_is_handed_over_only_where_the_route_says_so(tmp_path: Path) -> None:
    asked = (QUESTION, CALL, {"role": "tool", "content": "bird: Figaro"})
    async with open_desk(tmp_path, route={"store_tool_output": True}) as desk:
        await desk.chat(*asked)
        await desk.chat(*asked, decision="own")
        plain, with_tools = desk.finished
        assert [draft.trust for draft in plain.drafts] == [Trust.DIRECT_USER]
        assert [(draft.trust, draft.content) for draft in with_tools.drafts[1:]] == [(Trust.TOOL, "bird: Figaro")]


async def test_of_a_long_turn_only_what_is_to_be_remembered_waits(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.chat(QUESTION)
        await desk.chat(f"{QUESTION} {'I like my birds. ' * (INLINE_CHARS // 10)}")
        await desk.chat(*[{"role": "user", "content": ""}] * (INLINE_CHARS // 100), QUESTION)
        held = ["request" in getclosurevars(finished.extracted).nonlocals for finished in desk.finished]
        assert held == [True, False, False]
        assert all(len(finished.drafts) == 1 for finished in desk.finished)


async def test_a_finished_turn_knows_when_its_request_came_and_not_when_it_was_let_in(tmp_path: Path) -> None:
    async with open_desk(tmp_path, waits_ms=50) as desk:
        turn = await desk.chat()
        assert [finished.begun_at for finished in desk.finished] == [turn.begun_at]
        assert turn.begun_at == ManualClock().ms


async def test_requests_of_users_are_told_of_as_they_arrive(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.plugin.before_upstream(chat_turn(QUESTION, identity=Identity("anna")))
        await desk.plugin.before_upstream(chat_turn({"role": "user", "content": "hi"}, identity=Identity("anna")))
        assert len(desk.arrived) == 2
        await desk.plugin.before_upstream(chat_turn(QUESTION))
        assert len(desk.arrived) == 2


class StalledEmbedder(HashEmbedder):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__(64)

    async def embed(self, texts: Sequence[str]) -> Matrix:
        await asyncio.Event().wait()
        return await super().embed(texts)


class StalledStore(InstrumentedStore):
    """Never answers a search."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner, observer=Metrics(), clock=ManualClock())

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        await asyncio.Event().wait()
        return await super().search(scope, query)


@pytest.mark.parametrize(
    "stalled", [{"searched": StalledStore}, {"embedder": StalledEmbedder()}], ids=["store", "embedder"]
)
async def test_past_the_deadline_the_request_goes_on_without_memory_and_says_so(
    tmp_path: Path, stalled: dict[str, Any]
) -> None:
    async with open_desk(tmp_path, max_seconds=0.01, **stalled) as desk:
        turn = await desk.chat()
        assert status(turn) == (MemoryStatus.UNAVAILABLE, "TimeoutError")
        assert turn.draft.render() == turn.request.body
        assert len(desk.finished) == 1, "what was said is stored all the same"

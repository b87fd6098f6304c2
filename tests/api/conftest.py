"""The API over a real store and real retrieval, with a clock that the test moves."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random

import httpx
import pytest
from fastapi import FastAPI

from memrouter.api.access import AccessMiddleware
from memrouter.api.caller import Access
from memrouter.api.errors import install
from memrouter.api.identity.trusted_header import TrustedHeaderAuthenticator
from memrouter.api.memories import memory_routes
from memrouter.api.memory_search import MemorySearch
from memrouter.config.auth import AuthSettings
from memrouter.config.memory import MemoryLimits, MemorySettings, SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.reflection.item_weight import ItemWeight
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms
from memrouter.memory.retrieval.retrieve import Retriever
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.memory.service import MemoryService
from memrouter.observability.metrics import Metrics
from memrouter.stores.base import MemoryStore
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock

SETTINGS = MemorySettings(limits=MemoryLimits(list_page=50, add_batch=4))
MAX_BODY = 200_000

Connect = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]
Build = Callable[[MemoryService | None], FastAPI]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    opened = await SqliteStore.open(settings, dimension=64, embedding_model=HashEmbedder(64).info.model)
    yield opened
    await opened.aclose()


@pytest.fixture
def service(store: MemoryStore, clock: ManualClock) -> MemoryService:
    embedder = HashEmbedder(64)
    retriever = Retriever(
        store=store,
        embedder=embedder,
        working_set=WorkingSet(max_bytes=1_000_000),
        analyzer=Analyzer(),
        clock=clock,
        scan_limit=1000,
    )
    return MemoryService.configured(
        SETTINGS, store=store, embedder=embedder, retriever=retriever, clock=clock, rng=Random(7)
    )


@pytest.fixture
def connect() -> Connect:
    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
            yield client

    return connected


@pytest.fixture
def bare_app(clock: ManualClock, metrics: Metrics) -> FastAPI:
    """An app with errors and access log, without routes."""
    app = FastAPI()
    numbers = count(1)
    install(app, metrics=metrics)
    app.add_middleware(AccessMiddleware, metrics=metrics, clock=clock, ids=lambda: f"request-{next(numbers)}")
    return app


@pytest.fixture(scope="session")
def tokens() -> TokenCounter:
    return TokenCounter.load()


@pytest.fixture
def reflection(tokens: TokenCounter) -> ReflectionFilter:
    return ReflectionFilter(
        SETTINGS.reflection,
        algorithm=ReflectionAlgorithms().find(SETTINGS.reflection.algorithm),
        weigher=ItemWeight(tokens),
    )


@pytest.fixture
def access(clock: ManualClock) -> Access:
    """Believes the identity headers, as by default."""
    return Access(TrustedHeaderAuthenticator(AuthSettings(), clock=clock), settings=AuthSettings())


@pytest.fixture
def build(bare_app: FastAPI, clock: ManualClock, reflection: ReflectionFilter, access: Access) -> Build:
    def built(service: MemoryService | None) -> FastAPI:
        routes = memory_routes(
            service=service,
            access=access,
            settings=SETTINGS,
            search=MemorySearch(
                settings=SETTINGS, default_threshold=0.6, reflection=reflection, analyzer=Analyzer(), clock=clock
            ),
            max_body_bytes=MAX_BODY,
        )
        bare_app.include_router(routes)
        return bare_app

    return built


@pytest.fixture
def app(build: Build, service: MemoryService) -> FastAPI:
    return build(service)


@pytest.fixture
async def client(app: FastAPI, connect: Connect) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as opened:
        yield opened

"""A model server that a test scripts, and what it costs."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memrouter.config.memory import MemorySettings, SqliteSettings
from memrouter.config.settings import Settings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.extraction.extractor import FactExtractor
from memrouter.memory.helper_model import HelperModel
from memrouter.models.turn import ModelChoice
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.clock import ManualClock
from memrouter.testing.extraction_model import facts_answer
from memrouter.testing.upstream import ScriptedUpstream
from memrouter.upstream.client import HttpUpstream


class Counted:
    """Notes what was counted; satisfies ``ExtractionObserver``."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.tokens: list[tuple[int, int]] = []
        self.of_facts: Counter[str] = Counter()

    def extraction(self, *, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append(outcome)

    def extraction_call(self, *, prompt: int, completion: int) -> None:
        self.tokens.append((prompt, completion))

    def facts(self, *, outcome: str, count: int) -> None:
        self.of_facts[outcome] += count

    def extraction_overflow(self) -> None:
        raise AssertionError("nothing overflows here")


@pytest.fixture(scope="session")
def tokens() -> TokenCounter:
    return TokenCounter.load()


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(facts_answer()) as running:
        yield running


@pytest.fixture
async def upstream(server: ScriptedUpstream) -> AsyncIterator[HttpUpstream]:
    model = {"name": "small", "provider_model_id": "org/small", "backend_refs": [{"base_url": server.url}]}
    settings = Settings.model_validate({"providers": {"models": [model]}})
    client = HttpUpstream(settings, env={}, clock=ManualClock(), rng=random.Random(1))
    yield client
    await client.aclose()


@pytest.fixture
def model(upstream: HttpUpstream, tokens: TokenCounter) -> HelperModel:
    choice = ModelChoice("small", "org/small")
    return HelperModel(upstream, model=choice, max_tokens=500, timeout_ms=20_000, tokens=tokens)


@pytest.fixture
def extractor(model: HelperModel, counted: Counted, clock: ManualClock) -> FactExtractor:
    return FactExtractor(model, observer=counted, clock=clock)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    settings = SqliteSettings(path=str(tmp_path / "m.db"))
    opened = await SqliteStore.open(settings, dimension=32, embedding_model="hash-32")
    yield opened
    await opened.aclose()


@pytest.fixture
def settings() -> MemorySettings:
    return MemorySettings()

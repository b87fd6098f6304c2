"""A router with a configuration of the Go router, on Milvus and on Valkey, before a model that repeats its prompt."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from memrouter.config.memory import MilvusSettings
from memrouter.testing.echo import echo_all
from memrouter.testing.milvus import drop, elsewhere
from memrouter.testing.upstream import ScriptedUpstream
from memrouter.testing.valkey import ValkeyServer

from ..flow.servers import Router, running_router
from .stored_rows import MilvusRows, StoredRows, ValkeyRows

HERE = Path(__file__).parent
CONFIG = HERE / "go_memory.yaml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in one event loop, the one that the shared servers live in."""
    for item in items:
        if item.path.is_relative_to(HERE) and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass(frozen=True, slots=True)
class Bench:
    """A running router and what stands behind it."""

    router: Router
    model: ScriptedUpstream
    rows: StoredRows


@pytest.fixture(scope="session", params=["milvus", "valkey"])
def backend(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, object], StoredRows]]:
    """The store: what the configuration reads from the environment, and its rows."""
    with contextlib.ExitStack() as stack:
        if request.param == "valkey":
            server = ValkeyServer()
            stack.callback(server.close)
            server.launch()
            server.wait_ready()
            yield {"BACKEND": "valkey", "VALKEY_PORT": server.port}, ValkeyRows(server.settings())
        else:
            settings: MilvusSettings = elsewhere(request.getfixturevalue("milvus_server"))
            rows = MilvusRows(settings)
            stack.callback(rows.close)
            yield {"BACKEND": "milvus", "MILVUS": settings.address, "COLLECTION": settings.collection}, rows


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bench(
    backend: tuple[dict[str, object], StoredRows], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    places, rows = backend
    async with (
        ScriptedUpstream(echo_all) as model,
        running_router(
            tmp_path_factory.mktemp("go"),
            CONFIG,
            MODEL_SERVER=model.endpoint,
            MEMROUTER_EMBEDDING_MODEL="wordllama",
            **places,
        ) as router,
    ):
        yield Bench(router, model, rows)
    if "COLLECTION" in places:
        await drop(MilvusSettings.model_validate({"address": places["MILVUS"], "collection": places["COLLECTION"]}))

"""``memrouter reindex`` as a process that is killed in the middle, and run again."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from memrouter.config.memory import MemorySettings, SqliteSettings, ValkeySettings
from memrouter.errors import SchemaMismatch
from memrouter.stores.query import MergeMode
from memrouter.testing.milvus import elsewhere
from memrouter.testing.upstream import Answer, Fault, Received, ScriptedUpstream
from memrouter.testing.valkey import apart, some_server

from .reindex_cases import OLD, House, Model, Records, drop_all, without_vectors

SERVED = Model("served-model", dimension=24)
MEMORIES, STEP, EMBEDDED = 60, 10, 20


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        yield settings


@pytest.fixture(params=["sqlite", "valkey", "milvus"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        yield House(MemorySettings(backend="sqlite", sqlite=SqliteSettings(path=str(tmp_path / "memories.db"))))
    elif request.param == "valkey":
        yield House(MemorySettings(backend="valkey", valkey=apart(request.getfixturevalue("server"))))
    else:
        milvus = elsewhere(request.getfixturevalue("milvus_server"), num_partitions=1)
        yield House(MemorySettings(backend="milvus", milvus=milvus))
        asyncio.run(drop_all(milvus))


def embeddings(request: Received) -> Answer:
    texts = request.json()["input"]
    return Answer.json({"data": [{"index": at, "embedding": SERVED.vector(t).tolist()} for at, t in enumerate(texts)]})


def configured(house: House, endpoint: ScriptedUpstream, folder: Path) -> Path:
    """Write the configuration of a router of the old model, which names the new one's endpoint."""
    memory = house.settings
    blocks: dict[str, Any] = {"sqlite": {"path": memory.sqlite.path}}
    if memory.valkey is not None:
        blocks = {"valkey": memory.valkey.model_dump(include={"host", "port", "collection_prefix", "index_name"})}
    if memory.milvus is not None:
        blocks = {"milvus": memory.milvus.model_dump(include={"address", "collection", "num_partitions"})}
    served = {"base_url": endpoint.url, "model": "served-model", "dimension": SERVED.info.dimension, "timeout": 300}
    models = [{"name": "m", "backend_refs": [{"base_url": endpoint.url}]}]
    document = {
        "version": "v0.3",
        "providers": {"models": models},
        "global": {"stores": {"memory": {"backend": memory.backend, "embedding_endpoint": served, **blocks}}},
    }
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@asynccontextmanager
async def command(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "memrouter", "reindex", "--config", str(config), "--json"),
        *("--embedding-model", "served-model", "--step", str(STEP)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def finished(config: Path) -> dict[str, Any]:
    async with command(config) as process:
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    report: dict[str, Any] = json.loads(output)
    return report


async def test_a_killed_reindex_goes_on_where_it_was(house: House, tmp_path: Path) -> None:
    before = await house.fill(OLD, MEMORIES)
    async with ScriptedUpstream(embeddings) as endpoint:
        # Two batches are answered; at the third the process is stopped for good.
        endpoint.script(embeddings, embeddings, Answer.fault(Fault.HANG))  # type: ignore[arg-type] # takes functions too
        config = configured(house, endpoint, tmp_path)
        async with command(config) as process, asyncio.timeout(60):
            while len(endpoint.requests) < 3:
                endpoint.arrived.clear()
                await endpoint.arrived.wait()
            process.kill()
            assert await process.wait() < 0
        assert without_vectors(await house.kept(OLD)) == without_vectors(before)
        with pytest.raises(SchemaMismatch, match="under way"):
            await house.open(SERVED)
        router = await house.open(OLD)
        make = Records(router, OLD)
        late = make.make(id="written-meanwhile")
        await router.merge([late], mode=MergeMode.SKIP)
        await router.aclose()
        report = await finished(config)
        assert (report["reused"], report["embedded"], report["memories"]) == (EMBEDDED, 41, MEMORIES + 1)
        assert without_vectors(await house.kept(SERVED)) == without_vectors({**before, late.id: late})
        assert (await house.reindex(SERVED)).unchanged
    asked = [text for request in endpoint.requests for text in request.json()["input"]]
    assert len(asked) == MEMORIES + 1 + STEP  # only the batch of the kill was asked for twice

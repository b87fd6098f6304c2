"""What else retrieval may lean on: the reranker and the model that rewrites queries, as real servers and files."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from memrouter.testing.upstream import Answer, Fault, Received, ScriptedUpstream
from memrouter.testing.valkey import free_port

from .clinic import Doctor, Outcome


def reply(request: Received) -> Answer:
    if request.target == "/v1/rerank":
        return Answer.json({"results": [{"index": 0, "relevance_score": 0.5}]})
    return Answer.completion("ready")


@pytest.fixture
async def models() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(reply) as running:
        yield running


@pytest.fixture
def clinic(models: ScriptedUpstream, tmp_path: Path) -> Doctor:
    return Doctor(tmp_path, models.endpoint)


async def visit(clinic: Doctor, **memory: Any) -> Outcome:
    """Run the doctor beside the servers of this test."""
    return await asyncio.to_thread(clinic.sqlite, clinic.file.with_name("m.db"), **memory)


def reranker(models: ScriptedUpstream, **more: Any) -> dict[str, Any]:
    return {"kind": "endpoint", "base_url": models.url, "model": "bge-reranker", **more}


async def test_neither_is_looked_at_where_none_is_set(clinic: Doctor) -> None:
    outcome = await visit(clinic)
    assert not {"reranker", "query rewrite"} & set(outcome.checks)


async def test_a_reranker_that_scores_is_fine_and_gets_no_memory(clinic: Doctor, models: ScriptedUpstream) -> None:
    outcome = await visit(clinic, reranker=reranker(models, api_key="sk-very-secret"))
    assert (outcome.status, outcome.of("reranker")["level"]) == (0, "ok")
    (request,) = models.requests
    assert request.json()["documents"] == ["ready"]
    assert "sk-very-secret" not in outcome.text


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (Answer.error(404), "check base_url (it ends in /v1) and model"),
        (Answer.json({"results": "none"}), "rerank"),
        (Answer.fault(Fault.DISCONNECT), "no answer"),
        (Answer.fault(Fault.HANG), "no score within 50 ms"),
    ],
    ids=["refused", "nonsense", "disconnected", "silent"],
)
async def test_a_reranker_that_fails_is_a_warning(
    clinic: Doctor, models: ScriptedUpstream, answer: Answer, seen: str
) -> None:
    models.script(answer)
    limit = 50 if "50 ms" in seen else 5000
    outcome = await visit(clinic, reranker=reranker(models, timeout_ms=limit))
    finding = outcome.of("reranker")
    assert (outcome.status, finding["level"]) == (1, "warning")
    assert seen in finding["seen"]
    assert "global.stores.memory.reranker" in finding["fix"]


async def test_a_reranker_whose_key_or_folder_is_missing_is_broken(clinic: Doctor, models: ScriptedUpstream) -> None:
    for settings, word in (
        (reranker(models, api_key_env="NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE"),
        ({"kind": "onnx", "path": "/no/such/folder"}, "/no/such/folder"),
    ):
        outcome = await visit(clinic, reranker=settings)
        finding = outcome.of("reranker")
        assert (outcome.status, finding["level"]) == (2, "broken")
        assert word in finding["seen"]
        assert finding["fix"]


def with_small_model(clinic: Doctor, endpoint: str) -> Outcome:
    document = yaml.safe_load(clinic.file.read_text())
    small = {"name": "small", "role": "memory_rewrite", "backend_refs": [{"endpoint": endpoint}]}
    document["providers"]["models"].append(small)
    clinic.file.write_text(yaml.safe_dump(document))
    return clinic.run()


async def rewriting(clinic: Doctor, endpoint: str, **rewrite: Any) -> Outcome:
    """Run with a model that rewrites at this address."""
    database = {"path": str(clinic.file.with_name("m.db"))}
    clinic.write(backend="sqlite", sqlite=database, query_rewrite=rewrite)
    return await asyncio.to_thread(with_small_model, clinic, endpoint)


async def test_the_model_that_rewrites_is_asked_and_gets_no_conversation(
    clinic: Doctor, models: ScriptedUpstream
) -> None:
    outcome = await rewriting(clinic, models.endpoint)
    assert (outcome.status, outcome.of("query rewrite")["seen"]) == (0, "small answers")
    (request,) = models.requests
    assert (request.json()["model"], request.json()["max_tokens"]) == ("small", 128)
    assert "New message:\nready" in json.dumps(request.json(), ensure_ascii=False).replace("\\n", "\n")


async def test_rewriting_that_is_off_is_not_looked_at(clinic: Doctor, models: ScriptedUpstream) -> None:
    outcome = await rewriting(clinic, models.endpoint, enabled=False)
    assert "query rewrite" not in outcome.checks
    assert models.requests == []


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (Answer.error(500), "small answered with status 500"),
        (Answer.fault(Fault.RESET), "small: "),
        (Answer.fault(Fault.HANG), "small: no answer within 50 ms"),
    ],
    ids=["error", "reset", "silent"],
)
async def test_a_model_that_does_not_answer_is_a_warning(
    clinic: Doctor, models: ScriptedUpstream, answer: Answer, seen: str
) -> None:
    models.script(*[answer] * 4)
    outcome = await rewriting(clinic, models.endpoint, timeout_ms=50 if "50 ms" in seen else 5000)
    finding = outcome.of("query rewrite")
    assert (outcome.status, finding["level"]) == (1, "warning")
    assert seen in finding["seen"]
    assert "query_rewrite.enabled: false" in finding["fix"]


async def test_a_model_whose_server_is_down_is_a_warning(clinic: Doctor) -> None:
    outcome = await rewriting(clinic, f"127.0.0.1:{free_port()}")
    assert outcome.of("query rewrite")["level"] == "warning"


def test_a_model_that_is_named_but_not_there_is_a_warning(clinic: Doctor, tmp_path: Path) -> None:
    rewrite = {"query_rewrite": {"model": "small"}, "sqlite": {"path": str(tmp_path / "m.db")}}
    clinic.file.write_text(yaml.safe_dump({"global": {"stores": {"memory": {"embedding_model": "hash", **rewrite}}}}))
    finding = clinic.run().of("query rewrite")
    assert (finding["level"], finding["seen"]) == ("warning", "providers.models has no model 'small'")

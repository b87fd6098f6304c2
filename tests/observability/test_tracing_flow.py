"""What a collector gets of requests through a real router."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest

from memrouter.observability.logs import JsonFormatter
from memrouter.testing.upstream import Answer, ScriptedUpstream, completion_chunks

from .collector import Collector, Traced, collecting, traced_router

CANARY = "canary"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"
REPLY = "Peanuts are what you told me about, so no satay tonight."


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as running:
        yield running


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(lambda request: _answer(request.json().get("stream", False))) as running:
        yield running


def _answer(stream: bool) -> Answer:
    return Answer.stream(*completion_chunks(REPLY)) if stream else Answer.completion(REPLY)


def exporter(collector: Collector, **more: object) -> dict[str, object]:
    return {"exporter": {"endpoint": collector.endpoint, **more}}


async def remember_and_ask(router: Traced) -> None:
    new = {"content": "I am allergic to peanuts, says the canary."}
    assert (await router.http.post("/v1/memory", json=new, headers={"x-authz-user-id": "u"})).status_code == 201
    answer = await router.chat(
        "Am I allergic to anything, such as peanuts?", stream=True, traceparent=PARENT, tracestate="vendor=1"
    )
    assert answer.headers["x-memory-status"] == "used"


async def test_a_chat_is_one_tree_of_spans_across_router_store_and_backends(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream
) -> None:
    async with ScriptedUpstream(Answer.error(503)) as failing:
        async with traced_router(tmp_path, exporter(collector), failing, upstream) as router:
            await remember_and_ask(router)
        chat = collector.named("POST /v1/chat/completions")
        tree = {span.name: span for span in collector.spans if span.trace_id == TRACE_ID and span.name != "POST"}
        first, second = [span for span in collector.spans if span.name == "POST"]
        assert (chat.kind, chat.parent_id) == ("server", "b7ad6b7169203331")
        assert chat.attributes["http.response.status_code"] == 200
        assert chat.attributes["http.route"] == "/v1/chat/completions"
        assert chat.attributes["memrouter.memory.status"] == "used"
        assert chat.attributes["memrouter.decision"] == "everything"
        parents = {name: tree[name].parent_id for name in ("decide", "memory retrieve", "chat m")}
        assert set(parents.values()) == {chat.span_id}
        retrieve = tree["memory retrieve"]
        assert retrieve.attributes["memrouter.memory.count"] == 1
        embedding = next(name for name in tree if name.startswith("embeddings wordllama"))
        within = (embedding, "search sqlite", "memory rank", "memory inject")
        assert {name: tree[name].parent_id for name in within} == dict.fromkeys(within, retrieve.span_id)
        assert tree["search sqlite"].attributes["db.system.name"] == "sqlite"
        assert tree["search sqlite"].kind == "client"
        assert tree["chat m"].attributes["gen_ai.request.model"] == "m"
        assert (first.parent_id, second.parent_id) == (tree["chat m"].span_id,) * 2
        assert (first.attributes["memrouter.backend"], first.failed) == ("b0", True)
        assert (second.attributes["memrouter.backend"], second.failed) == ("b1", False)
        assert tree["chat m"].begun <= first.begun <= first.ended <= second.ended <= tree["chat m"].ended <= chat.ended
        assert upstream.requests[-1].header("traceparent") == f"00-{TRACE_ID}-{second.span_id}-01"
        assert upstream.requests[-1].header("tracestate") == "vendor=1"
        store = next(span for span in collector.spans if span.name == "memory store")
        assert store.links == (chat.span_id,)
        assert store.trace_id != TRACE_ID
        written = [span.name for span in collector.spans if span.parent_id == store.span_id]
        assert "create sqlite" in written or "commit sqlite" in written
    assert collector.paths[0] == "/v1/traces"


async def test_no_span_holds_a_word_or_a_name_of_a_user(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream
) -> None:
    headers = {
        "x-authz-user-id": f"{CANARY}-user",
        "x-authz-project-id": f"{CANARY}-project",
        "x-session-id": f"{CANARY}-session",
        "x-request-id": f"{CANARY}-request",
        "user-agent": f"{CANARY}-agent",
        "baggage": f"user={CANARY}",
    }
    async with traced_router(tmp_path, exporter(collector), upstream) as router:
        router.http.headers.update(headers)
        http = router.http
        await http.post("/v1/memory", json={"content": f"The {CANARY} sings of peanuts."})
        asked = {"role": "user", "content": f"What does the {CANARY} sing?"}
        chat = {"model": "m", "user": CANARY, "messages": [asked]}
        assert (await http.post(f"/v1/chat/completions?q={CANARY}", json=chat)).headers["x-memory-status"] == "used"
        await http.post("/v1/chat/completions", json={**chat, "model": f"{CANARY}-model"})
        await http.post("/v1/memory/search", json={"query": f"the {CANARY}"})
        for path in (f"/v1/memory/{CANARY}", f"/v1/memory?conversation_id={CANARY}", f"/{CANARY}", "/v1/memory"):
            await http.get(path)
        await http.request(CANARY.upper(), "/v1/memory")
    assert len(collector.spans) > 20
    assert CANARY.encode() not in b"".join(collector.bodies).lower()


async def test_log_lines_of_a_request_name_its_trace(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream
) -> None:
    lines = StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    access = logging.getLogger("memrouter.api.access")
    access.addHandler(handler)
    before = access.level
    access.setLevel(logging.INFO)
    try:
        async with traced_router(tmp_path, exporter(collector), upstream) as router:
            await router.chat("Hello there.", traceparent=PARENT)
    finally:
        access.removeHandler(handler)
        access.setLevel(before)
    (line,) = [json.loads(text) for text in lines.getvalue().splitlines()]
    assert line["trace_id"] == TRACE_ID
    assert line["span_id"] == collector.named("POST /v1/chat/completions").span_id


async def test_a_collector_that_is_down_costs_no_request_and_is_mentioned_once(
    tmp_path: Path, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    tracing = {"exporter": {"endpoint": nobody, "timeout": "100ms"}}
    async with traced_router(tmp_path, tracing, upstream) as router:
        for _ in range(3):
            assert (await router.chat("Hello there.")).status_code == 200
            await asyncio.to_thread(router.runtime.tracer._processor.force_flush)  # type: ignore[attr-defined]  # OtelTracer
        metrics = (await router.http.get("/metrics")).text
    assert sum("the collector does not take traces" in message for message in caplog.messages) == 1
    assert "memrouter_trace_spans_exported_total 0.0" in metrics


async def test_a_collector_that_comes_back_is_mentioned_and_counted(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "memrouter.observability.tracing_otel")
    collector.status = 400
    async with traced_router(tmp_path, exporter(collector), upstream) as router:
        tracer = router.runtime.tracer
        await router.chat("Hello there.")
        await asyncio.to_thread(tracer._processor.force_flush)  # type: ignore[attr-defined]  # the tracer is OtelTracer
        collector.status = 200
        await router.chat("Hello there.")
    said = [message.split(":")[0] for message in caplog.messages if "the collector" in message]
    assert said == ["the collector does not take traces", "the collector takes traces again"]
    assert tracer.recorded > tracer.exported == len(collector.spans)  # type: ignore[attr-defined]  # the same


@pytest.mark.parametrize(
    ("sampling", "parent", "traced"),
    [
        ({}, None, True),
        ({}, UNSAMPLED, False),
        ({"type": "always_off"}, None, False),
        ({"type": "always_off"}, PARENT, True),
        ({"type": "always_off", "parent_based": False}, PARENT, False),
        ({"type": "probabilistic", "rate": 0}, None, False),
        ({"parent_based": False}, UNSAMPLED, True),
    ],
)
async def test_sampling_decides_and_the_backend_is_told(
    tmp_path: Path,
    collector: Collector,
    upstream: ScriptedUpstream,
    sampling: dict[str, object],
    parent: str | None,
    traced: bool,
) -> None:
    tracing = {**exporter(collector), "sampling": sampling}
    async with traced_router(tmp_path, tracing, upstream, embedding_model="hash") as router:
        await router.chat("Nothing much to say about this.", **({"traceparent": parent} if parent else {}))
    names = {span.name for span in collector.spans}
    assert ({"POST /v1/chat/completions", "memory store"} <= names) is traced
    assert bool(names) is traced
    told = upstream.requests[-1].header("traceparent") or ""
    assert int(told[-2:], 16) & 1 == traced
    assert parent is None or TRACE_ID in told


async def test_two_traceparent_headers_begin_a_trace_of_our_own(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream
) -> None:
    async with traced_router(tmp_path, exporter(collector), upstream, embedding_model="hash") as router:
        headers = [("traceparent", PARENT), ("traceparent", PARENT), ("x-authz-user-id", "u")]
        await router.http.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)
    assert TRACE_ID not in {span.trace_id for span in collector.spans}


async def test_health_readiness_and_metrics_are_not_traced(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream
) -> None:
    async with traced_router(tmp_path, exporter(collector), upstream, embedding_model="hash") as router:
        for path in ("/health", "/ready", "/metrics"):
            assert (await router.http.get(path)).status_code == 200
    assert collector.spans == []


async def test_the_environment_holds_where_the_file_says_nothing(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a,region=north")
    resource = {"attributes": {"team": "b"}, "deployment_environment": "staging"}
    async with traced_router(tmp_path, {"resource": resource}, upstream, embedding_model="hash") as router:
        await router.chat("Hello there.")
    found = collector.resource
    assert (found["service.name"], found["team"], found["region"]) == ("from-environment", "b", "north")
    assert found["deployment.environment.name"] == "staging"
    assert len(str(found["service.instance.id"])) == 36
    assert collector.headers[0]["x-tenant"] == "blue"


async def test_the_file_wins_over_the_environment(
    tmp_path: Path, collector: Collector, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    tracing = {
        **exporter(collector, headers="authorization=Bearer%20word"),
        "sampling": {"type": "always_on"},
        "resource": {"service_name": "from-file"},
    }
    async with traced_router(tmp_path, tracing, upstream, embedding_model="hash") as router:
        await router.chat("Hello there.")
    assert collector.resource["service.name"] == "from-file"
    assert collector.headers[0]["Authorization"] == "Bearer word"

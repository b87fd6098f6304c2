"""What is counted shows up under its name, and two routers do not share a registry."""

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from memrouter import __version__
from memrouter.observability.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name and labels."""
    return {
        sample.name + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_request_is_counted_and_timed(metrics: Metrics) -> None:
    metrics.request(route="/v1/memory", method="GET", status=200, seconds=0.02)
    metrics.request(route=None, method="BREW", status=404, seconds=0.001)
    found = samples(metrics)
    assert found["memrouter_requests_total,method=GET,route=/v1/memory,status=200"] == 1
    assert found["memrouter_requests_total,method=other,route=other,status=404"] == 1
    assert found["memrouter_request_seconds_sum,route=/v1/memory"] == pytest.approx(0.02)


def test_overhead_is_told_apart_from_a_quarter_millisecond(metrics: Metrics) -> None:
    metrics.router_overhead(0.0002)
    metrics.router_overhead(0.0004)
    found = samples(metrics)
    assert found["memrouter_router_overhead_seconds_bucket,le=0.00025"] == 1
    assert found["memrouter_router_overhead_seconds_bucket,le=0.0005"] == 2


def test_every_event_has_its_own_name(metrics: Metrics) -> None:
    metrics.upstream(model="qwen3", backend="local", seconds=0.5)
    metrics.failover(model="qwen3", backend="local")
    metrics.memory_status("used", "personalized_route")
    metrics.retrieval(seconds=0.001, results=3)
    metrics.injected(3)
    metrics.dropped("blocked")
    metrics.reranked(outcome="ok", seconds=0.1)
    metrics.reranked(outcome="skipped", seconds=0.0)
    metrics.query_rewritten(outcome="rewritten", seconds=0.4)
    metrics.query_rewritten(outcome="skipped", seconds=0.0)
    metrics.rewrite_tokens(prompt=200, completion=12)
    metrics.stored(2)
    metrics.skipped("greeting")
    metrics.truncated(1)
    metrics.store_operation(backend="sqlite", operation="search", outcome="ok", seconds=0.001)
    metrics.cache_search("hit")
    metrics.cache_operation(operation="read", outcome="ok", seconds=0.001)
    metrics.cache_operation(operation="read", outcome="skipped", seconds=0.0)
    metrics.embedding(model="hash-64", texts=4, outcome="ok", seconds=0.001)
    metrics.error("store_unavailable")
    found = samples(metrics)
    expected = {
        "memrouter_upstream_seconds_count,backend=local,model=qwen3": 1,
        "memrouter_upstream_failovers_total,backend=local,model=qwen3": 1,
        "memrouter_memories_dropped_total,reason=blocked": 1,
        "memrouter_reranks_total,outcome=ok": 1,
        "memrouter_reranks_total,outcome=skipped": 1,
        "memrouter_rerank_seconds_count": 1,
        "memrouter_query_rewrites_total,outcome=rewritten": 1,
        "memrouter_query_rewrites_total,outcome=skipped": 1,
        "memrouter_query_rewrite_seconds_count": 1,
        "memrouter_query_rewrite_tokens_total,kind=prompt": 200,
        "memrouter_query_rewrite_tokens_total,kind=completion": 12,
        "memrouter_memory_requests_total,decision=personalized_route,status=used": 1,
        "memrouter_retrieval_seconds_count": 1,
        "memrouter_retrieval_results_sum": 3,
        "memrouter_memories_injected_total": 3,
        "memrouter_memories_stored_total": 2,
        "memrouter_turns_skipped_total,reason=greeting": 1,
        "memrouter_contents_truncated_total": 1,
        "memrouter_store_operations_total,backend=sqlite,operation=search,outcome=ok": 1,
        "memrouter_store_operation_seconds_count,backend=sqlite,operation=search": 1,
        "memrouter_cache_searches_total,outcome=hit": 1,
        "memrouter_cache_operations_total,operation=read,outcome=ok": 1,
        "memrouter_cache_operations_total,operation=read,outcome=skipped": 1,
        "memrouter_cache_operation_seconds_count,operation=read": 1,
        "memrouter_embeddings_total,model=hash-64,outcome=ok": 4,
        "memrouter_embedding_seconds_count,model=hash-64": 1,
        "memrouter_errors_total,kind=store_unavailable": 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_watched_values_are_read_when_they_are_asked_for(metrics: Metrics) -> None:
    values = {"depth": 3, "dropped": 1, "done": 7, "failed": 0, "hits": 5, "misses": 2, "size": 1024}
    metrics.watch_queue(
        depth=lambda: values["depth"],
        dropped=lambda: values["dropped"],
        done=lambda: values["done"],
        failed=lambda: values["failed"],
    )
    metrics.watch_working_set(hits=lambda: values["hits"], misses=lambda: values["misses"], size=lambda: values["size"])
    metrics.watch_embedding_cache(hits=lambda: values["hits"], misses=lambda: values["misses"])
    metrics.watch_migration(
        phase=lambda: values["depth"],
        copied=lambda: values["done"],
        remaining=lambda: values["size"],
        dirty=lambda: values["dropped"],
        failures=lambda: values["misses"],
    )
    assert samples(metrics)["memrouter_store_queue_depth"] == 3
    values["depth"] = 4
    found = samples(metrics)
    assert found["memrouter_store_queue_depth"] == 4
    assert found["memrouter_store_queue_dropped_total"] == 1
    assert found["memrouter_store_queue_done_total"] == 7
    assert found["memrouter_store_queue_failed_total"] == 0
    assert found["memrouter_working_set_hits_total"] == 5
    assert found["memrouter_working_set_misses_total"] == 2
    assert found["memrouter_working_set_bytes"] == 1024
    assert found["memrouter_embedding_cache_misses_total"] == 2
    assert found["memrouter_migration_phase"] == 4
    assert found["memrouter_migration_copied"] == 7
    assert found["memrouter_migration_remaining"] == 1024
    assert found["memrouter_migration_dirty_owners"] == 1
    assert found["memrouter_migration_mirror_failures_total"] == 2


def test_version_process_and_deadline_are_told(metrics: Metrics) -> None:
    metrics.retrieval_deadline(0.75)
    metrics.upkeep_overdue("prune", 90)
    metrics.watch_store_memory(used=lambda: 3, limit=lambda: 4)
    metrics.watch_tracing(recorded=lambda: 9, exported=lambda: 8)
    found = samples(metrics)
    assert found[f"memrouter_build_info,version={__version__}"] == 1
    assert found["memrouter_retrieval_deadline_seconds"] == 0.75
    assert found["memrouter_upkeep_overdue_seconds,task=prune"] == 90
    assert (found["memrouter_store_memory_bytes"], found["memrouter_store_memory_limit_bytes"]) == (3, 4)
    assert (found["memrouter_trace_spans_recorded_total"], found["memrouter_trace_spans_exported_total"]) == (9, 8)
    assert found["process_resident_memory_bytes"] > 1e6
    assert 0 < found["process_open_fds"] < found["process_max_fds"]
    assert found["process_start_time_seconds"] > 1e9
    assert found["process_cpu_seconds_total"] > 0


def test_two_routers_count_apart_and_outside_the_global_registry(metrics: Metrics) -> None:
    other = Metrics()
    metrics.injected(1)
    assert samples(other)["memrouter_memories_injected_total"] == 0
    assert not [family for family in REGISTRY.collect() if family.name.startswith("memrouter")]


def test_what_was_noted_is_counted_when_a_request_has_ended(metrics: Metrics) -> None:
    registry = metrics._registry  # past ``render``, which counts what was noted as well
    metrics.retrieval(seconds=0.001, results=3)
    metrics.injected(2)
    assert registry.get_sample_value("memrouter_memories_injected_total") == 0
    metrics.request(route="/x", method="GET", status=200, seconds=0.1)
    assert registry.get_sample_value("memrouter_memories_injected_total") == 2
    assert registry.get_sample_value("memrouter_retrieval_seconds_count") == 1


def test_whoever_collects_sees_all_that_was_noted(metrics: Metrics) -> None:
    metrics.injected(2)
    families = {family.name: family for family in metrics.collect()}
    assert families["memrouter_memories_injected"].samples[0].value == 2


def test_no_label_can_name_a_user(metrics: Metrics) -> None:
    labels = {
        "status", "decision", "route", "method", "model", "backend", "operation", "outcome", "reason", "kind", "le",
        "version",
    }  # fmt: skip
    test_every_event_has_its_own_name(metrics)
    metrics.request(route="/x", method="GET", status=200, seconds=0)
    used = {
        label
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        for label in sample.labels
    }
    assert used == labels

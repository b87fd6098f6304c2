"""FT.INFO in the forms that two servers give it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import SchemaMismatch
from memrouter.stores.valkey.index_info import IndexField, VectorField, parse_info

# As valkey-search 1.2 builds it: flags have values, the vector's facts are nested.
VALKEY_SEARCH: list[Any] = [
    b"index_name", b"mem_idx",
    b"index_definition", [b"key_type", b"HASH", b"prefixes", [b"mem:"], b"default_score", b"1"],
    b"attributes", [
        [b"identifier", b"embedding", b"attribute", b"embedding", b"user_indexed_memory", 10, b"type", b"VECTOR",
         b"index", [b"capacity", 10240, b"dimensions", 384, b"distance_metric", b"COSINE", b"size", b"7",
                    b"data_type", b"FLOAT32",
                    b"algorithm", [b"name", b"HNSW", b"m", 16, b"ef_construction", 256, b"ef_runtime", 10]]],
        [b"identifier", b"owner", b"attribute", b"owner", b"user_indexed_memory", 0, b"type", b"TAG",
         b"SEPARATOR", b"|", b"CASESENSITIVE", b"1", b"size", b"7"],
        [b"identifier", b"source", b"attribute", b"source", b"user_indexed_memory", 0, b"type", b"TAG",
         b"SEPARATOR", b",", b"CASESENSITIVE", b"0", b"size", b"7"],
        [b"identifier", b"created_at", b"attribute", b"created_at", b"user_indexed_memory", 0, b"type", b"NUMERIC",
         b"size", b"7"],
    ],
    b"num_docs", 7, b"num_records", 28, b"hash_indexing_failures", b"2", b"backfill_in_progress", b"1",
    b"backfill_complete_percent", b"0.250000", b"state", b"backfill_in_progress",
]  # fmt: skip

# As RediSearch 2.10 and the client give it: a map, bare flags, the vector's facts flat.
REDISEARCH: dict[bytes, Any] = {
    b"index_name": b"mem_idx",
    b"index_definition": [b"key_type", b"HASH", b"prefixes", [b"mem:"], b"default_score", b"1"],
    b"attributes": [
        [b"identifier", b"owner", b"attribute", b"owner", b"type", b"TAG", b"SEPARATOR", b"|", b"CASESENSITIVE"],
        [b"identifier", b"source", b"attribute", b"source", b"type", b"TAG", b"SEPARATOR", b","],
        [b"identifier", b"created_at", b"attribute", b"created_at", b"type", b"NUMERIC", b"SORTABLE", b"UNF"],
        [b"identifier", b"embedding", b"attribute", b"embedding", b"type", b"VECTOR", b"algorithm", b"HNSW",
         b"data_type", b"FLOAT32", b"dim", 384, b"distance_metric", b"COSINE", b"M", 16, b"ef_construction", 256],
    ],
    b"num_docs": 7, b"hash_indexing_failures": 2, b"indexing": 1, b"percent_indexed": b"0.25",
}  # fmt: skip


@pytest.mark.parametrize("reply", [VALKEY_SEARCH, REDISEARCH], ids=["valkey-search", "redisearch"])
def test_both_servers_are_read_alike(reply: object) -> None:
    found = parse_info(reply)
    assert found.fields == {
        "owner": IndexField("TAG", "|", case_sensitive=True),
        "source": IndexField("TAG"),
        "created_at": IndexField("NUMERIC"),
        "embedding": IndexField("VECTOR"),
    }
    assert found.vector == VectorField("HNSW", 384, "COSINE", "FLOAT32", m=16, ef_construction=256)
    assert (found.key_type, found.prefixes, found.documents, found.failures) == ("HASH", ("mem:",), 7, 2)
    assert (found.backfilling, found.progress, found.paused) == (True, 0.25, False)


def test_a_finished_index_is_done_whatever_the_percentage_says() -> None:
    found = parse_info({**REDISEARCH, b"indexing": 0, b"percent_indexed": b"0"})
    assert (found.backfilling, found.progress) == (False, 1.0)


def test_a_backfill_without_memory_is_paused() -> None:
    assert parse_info([*VALKEY_SEARCH[:-1], b"backfill_paused_by_oom"]).paused


def test_the_slowest_node_of_a_cluster_counts() -> None:
    ready = parse_info({**REDISEARCH, b"indexing": 0})
    info = {
        "backfill_in_progress": b"1",
        "backfill_complete_percent_max": b"1",
        "backfill_complete_percent_min": b"0.5",
    }
    assert ready.with_backfill({**info, "state": b"backfill_in_progress"}).progress == 0.5


replies = st.recursive(
    st.none() | st.integers() | st.binary(max_size=8) | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.binary(max_size=6), inner, max_size=6),
    max_leaves=20,
)


@given(replies)
def test_any_reply_is_read_or_refused(reply: object) -> None:
    with pytest.raises(SchemaMismatch):
        parse_info(reply)


@given(replies, replies, replies)
def test_strange_parts_never_break_the_reading(definition: object, attributes: object, number: object) -> None:
    parse_info({"attributes": attributes, "index_definition": definition, "num_docs": number, "indexing": number,
                "percent_indexed": number})  # fmt: skip

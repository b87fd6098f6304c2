"""The key names an owner without naming anybody; the digest changes with whatever can change an answer."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import MemorySettings, MilvusSettings, SqliteSettings, ValkeySettings
from memrouter.models.memory import MemoryType, Scope, Source
from memrouter.stores.base import Capabilities
from memrouter.stores.cache_key import owner_cache_key, question_digest, store_name
from memrouter.stores.query import Filter, StoreQuery
from memrouter.testing.records import HOSTILE_IDENTITIES, text_vector

CAPABILITIES = Capabilities(backend="sqlite", dimension=8, embedding_model="m", exact=True)
ALICE = Scope("alice")
QUERY = StoreQuery(vector=text_vector("tea", 8), k=5, now=1, words=("green", "tea"), scan_limit=10)
FILTER = Filter(
    ids=frozenset({"a", "b"}),
    types=frozenset({MemoryType.SEMANTIC}),
    sources=frozenset({Source.API}),
    conversation_id="c",
)


def digest(query: StoreQuery = QUERY, scope: Scope = ALICE, store: str = "s", like: Capabilities = CAPABILITIES) -> str:
    return question_digest(store, like, scope, query)


def test_everything_that_can_change_the_answer_changes_the_digest() -> None:
    vector = text_vector("tea", 8)
    others = [
        replace(QUERY, vector=None),
        replace(QUERY, vector=text_vector("milk", 8)),
        replace(QUERY, vector=np.nextafter(vector, np.float32(2))),
        replace(QUERY, vector=vector.astype(np.float64)),
        replace(QUERY, vector=vector.reshape(2, 4)),
        replace(QUERY, k=6),
        replace(QUERY, words=()),
        replace(QUERY, words=("green tea",)),
        replace(QUERY, words=("green', 'tea",)),
        replace(QUERY, words=("tea", "green")),
        replace(QUERY, words=("tea", "\ud800")),
        replace(QUERY, scan_limit=0),
        *(
            replace(QUERY, where=replace(Filter(), **{name: getattr(FILTER, name)}))
            for name in ("ids", "types", "sources", "conversation_id")
        ),
        replace(QUERY, where=Filter(ids=frozenset())),
        replace(QUERY, where=Filter(types=frozenset())),
        replace(QUERY, where=Filter(sources=frozenset())),
        replace(QUERY, where=Filter(ids=frozenset({"a"}))),
        replace(QUERY, where=Filter(ids=frozenset({"a', 'b"}))),
    ]
    scopes = [Scope("bob"), Scope("alice", "apollo"), Scope("alice", None), Scope("alice", "None"), Scope("Alice")]
    stores = [
        replace(CAPABILITIES, backend="valkey"),
        replace(CAPABILITIES, dimension=9),
        replace(CAPABILITIES, embedding_model="n"),
        replace(CAPABILITIES, exact=False),
    ]
    digests = [digest(), digest(store="t")]
    digests += [digest(query) for query in others]
    digests += [digest(scope=scope) for scope in scopes]
    digests += [digest(like=like) for like in stores]
    assert len(set(digests)) == len(digests)


def test_the_time_and_the_order_of_a_set_do_not_change_the_digest() -> None:
    assert digest(replace(QUERY, now=99, known_generation=4)) == digest()
    wheres = [
        Filter(ids=frozenset(order), sources=frozenset(Source)) for order in itertools.permutations(("a", "b", "c"))
    ]
    assert len({digest(replace(QUERY, where=where)) for where in wheres}) == 1


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_two_questions_never_share_a_digest(first: list[str], second: list[str]) -> None:
    same = digest(replace(QUERY, words=tuple(first))) == digest(replace(QUERY, words=tuple(second)))
    assert same == (first == second)


def test_a_key_names_nobody_and_differs_between_owners() -> None:
    keys = {owner_cache_key("memory_cache:", Scope(user).owner) for user in HOSTILE_IDENTITIES}
    assert len(keys) == len(HOSTILE_IDENTITIES)
    assert all(len(key) == len("memory_cache:{}") + 32 for key in keys)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (MemorySettings(sqlite=SqliteSettings(path="a.db")), MemorySettings(sqlite=SqliteSettings(path="b.db"))),
        (MemorySettings(valkey=ValkeySettings(host="a")), MemorySettings(valkey=ValkeySettings(host="b"))),
        (MemorySettings(valkey=ValkeySettings(port=1)), MemorySettings(valkey=ValkeySettings(port=2))),
        (MemorySettings(valkey=ValkeySettings(database=1)), MemorySettings(valkey=ValkeySettings())),
        (MemorySettings(valkey=ValkeySettings(index_name="a")), MemorySettings(valkey=ValkeySettings())),
        (MemorySettings(valkey=ValkeySettings(collection_prefix="a")), MemorySettings(valkey=ValkeySettings())),
        (MemorySettings(milvus=MilvusSettings(collection="a")), MemorySettings(milvus=MilvusSettings())),
        (MemorySettings(milvus=MilvusSettings()), MemorySettings(valkey=ValkeySettings())),
    ],
)
def test_stores_in_different_places_have_different_names(first: MemorySettings, second: MemorySettings) -> None:
    assert store_name(first, run="r") != store_name(second, run="r")


def test_routers_share_the_answers_of_a_server_and_not_those_of_a_file() -> None:
    valkey = MemorySettings(valkey=ValkeySettings(host="Valkey.example"))
    assert store_name(valkey, run="1") == store_name(
        MemorySettings(valkey=ValkeySettings(host="valkey.example")), run="2"
    )
    assert store_name(MemorySettings(), run="1") != store_name(MemorySettings(), run="2")

"""A Milvus that is not there, stands still, or refuses."""

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from memrouter.config.base import Secret
from memrouter.config.memory import MilvusSettings
from memrouter.errors import ConfigError, MissingExtra, StoreUnavailable
from memrouter.models.memory import Scope
from memrouter.stores.milvus.address import milvus_address
from memrouter.stores.milvus.errors import refused
from memrouter.stores.milvus.store import MilvusStore
from memrouter.stores.query import ListQuery, StoreQuery
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.valkey import free_port

from .conftest import DIMENSION, MODEL
from .relay import Relay

ALICE = Scope("alice")
LATER = NOW + 1_000_000


async def test_a_server_that_is_not_there_is_named_with_the_setting() -> None:
    settings = MilvusSettings(address=f"127.0.0.1:{free_port()}", timeout=0.5)
    with pytest.raises(StoreUnavailable, match=rf"{settings.address} cannot be reached.*milvus\.address"):
        await MilvusStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)


async def test_a_server_that_goes_away_is_unavailable_and_is_used_again_when_it_is_back(
    shared_collection: MilvusSettings,
) -> None:
    address = milvus_address(shared_collection)
    async with Relay(address.host, address.port) as relay:
        settings = shared_collection.model_copy(update={"address": f"127.0.0.1:{relay.port}", "timeout": 1.0})
        store = await MilvusStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)
        make = RecordFactory(store.capabilities)
        record = make.make(user_id="outage")
        await store.create([record])
        relay.holding = True
        for call in (
            store.list(Scope("outage"), ListQuery(limit=1, now=LATER)),
            store.search(Scope("outage"), StoreQuery(vector=None, k=1, now=LATER, scan_limit=9)),
            store.create([make.make(user_id="outage")]),
            store.check(),
        ):
            with pytest.raises(StoreUnavailable, match="did not answer within 1 s"):
                await call
        relay.holding = False
        await relay.drop()
        for _ in range(100):
            try:
                found = await store.get(Scope("outage"), [record.id], now=LATER)
                break
            except StoreUnavailable:
                continue
        assert [memory.id for memory in found] == [record.id]
        await store.check()
        await store.aclose()


@pytest.mark.parametrize(("package", "extra"), [("pymilvus", "milvus"), ("milvus_lite", "milvus-lite")])
async def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, extra: str
) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return original(name, *args, **more)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    settings = MilvusSettings(address=str(tmp_path / "memories.db"))
    with pytest.raises(MissingExtra, match=rf"pip install 'memrouter\[{extra}\]'"):
        await MilvusStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)


async def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    settings = MilvusSettings(address=str(tmp_path / "absent" / "memories.db"))
    with pytest.raises(StoreUnavailable, match=r"the folder of .* does not exist"):
        await MilvusStore.open(settings, dimension=DIMENSION, embedding_model=MODEL)


@pytest.mark.parametrize(
    ("address", "tls", "expected"),
    [
        ("milvus:19530", False, ("http://milvus:19530", "milvus:19530", False, "milvus", 19530)),
        ("[::1]:19530", True, ("https://[::1]:19530", "[::1]:19530", True, "::1", 19530)),
        (
            "https://milvus.example",
            False,
            ("https://milvus.example", "milvus.example:443", True, "milvus.example", 443),
        ),
        ("tcp://user:secret@m:1/db", False, ("tcp://user:secret@m:1/db", "m:1", False, "m", 1)),
        ("unix:/run/milvus.sock", False, ("unix:/run/milvus.sock", "unix:/run/milvus.sock", False, "", 0)),
    ],
)
def test_every_form_of_an_address_is_understood(address: str, tls: bool, expected: tuple[object, ...]) -> None:
    found = milvus_address(MilvusSettings(address=address, tls_enabled=tls))
    assert (found.uri, found.place, found.tls, found.host, found.port) == expected
    assert not found.local


@pytest.mark.parametrize(
    "address", ["", "milvus", "milvus:", "ftp://m:1", "http://", "http://m:99999", "./file.sqlite"]
)
def test_an_address_that_cannot_be_one_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"milvus\.address.*\.db"):
        milvus_address(MilvusSettings(address=address))


def test_a_password_in_a_bad_address_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        milvus_address(MilvusSettings(address="ftp://user:secret@host:1", token=Secret("x")))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("auth check failure, please check api key is correct", "milvus.token"),
        ("PrivilegeQuery: permission deny to user", "privileges"),
        ("database not found[database=x]", "milvus.database"),
        ("can't find collection[collection=x]", "restart memrouter"),
        ("collection not loaded", "loads it"),
        ("request is rejected by grpc RateLimiter middleware, rate limit", "quotaAndLimits"),
        ('cannot parse expression: user_id == "alice"', "code 65535"),
    ],
)
def test_what_the_server_says_becomes_what_to_do_and_is_not_quoted(reply: str, words: str) -> None:
    error = refused(reply, place="milvus:19530", code=65535)
    assert words in str(error)
    assert "alice" not in str(error)

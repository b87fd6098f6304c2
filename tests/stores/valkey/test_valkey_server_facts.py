"""Versions and roles that servers tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.stores.valkey.server import ServerFacts, decode_version, search_module

GOOD = b"# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\n# Replication\r\nrole:master\r\n"


def modules(number: int) -> list[list[object]]:
    return [[b"name", b"json", b"ver", 10002], [b"name", b"search", b"ver", number, b"path", b"/x", b"args", []]]


@pytest.mark.parametrize(
    ("number", "name", "version"),
    [
        (66049, "valkey-search", (1, 2, 1)),
        (65536, "valkey-search", (1, 0, 0)),
        (131072, "valkey-search", (2, 0, 0)),
        (21005, "RediSearch", (2, 10, 5)),
        (20800, "RediSearch", (2, 8, 0)),
        (80001, "RediSearch", (8, 0, 1)),
    ],
)
def test_both_ways_to_write_a_version_are_told_apart(number: int, name: str, version: tuple[int, int, int]) -> None:
    assert decode_version(number) == (name, version)


@given(st.integers(1, 9), st.integers(0, 15), st.integers(0, 255))
def test_a_packed_version_comes_back(major: int, minor: int, patch: int) -> None:
    assert decode_version(major << 16 | minor << 8 | patch) == ("valkey-search", (major, minor, patch))


@pytest.mark.parametrize("number", [66048, 66049, 21000, 21005, 80001])
def test_a_good_server_has_no_problem(number: int) -> None:
    assert ServerFacts.read(GOOD, modules(number)).problems(cluster=False) == []


@pytest.mark.parametrize(
    ("info", "number", "words"),
    [
        (GOOD, 65792, "valkey-search 1.1.0"),
        (GOOD, 20811, "RediSearch 2.8.11"),
        (GOOD.replace(b"9.1.2", b"7.2.9"), 66049, "Valkey 7.2.9"),
        (b"redis_version:6.2.0\r\n", 21005, "Redis 6.2.0"),
        (GOOD.replace(b"master", b"slave"), 66049, "a replica, which takes no writes; set host to the primary"),
    ],
)
def test_what_is_too_old_or_no_primary_is_said(info: bytes, number: int, words: str) -> None:
    (problem,) = ServerFacts.read(info, modules(number)).problems(cluster=False)
    assert words in problem


def test_a_cluster_may_answer_from_a_replica() -> None:
    assert ServerFacts.read(GOOD.replace(b"master", b"slave"), modules(66049)).problems(cluster=True) == []


def test_a_missing_module_is_a_problem_with_the_way_out() -> None:
    (problem,) = ServerFacts.read(GOOD, []).problems(cluster=False)
    assert "no Search module" in problem
    assert "--loadmodule" in problem


def test_what_the_server_does_not_tell_is_not_held_against_it() -> None:
    assert ServerFacts.read(None, None).problems(cluster=False) == []
    assert search_module([[b"name", b"search"]]) == ("valkey-search", None)

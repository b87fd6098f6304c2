"""The advice, which is pure: facts in, findings out."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.memory import RedisCacheSettings, ValkeySettings
from memrouter.doctor.address import ServerAddress
from memrouter.doctor.capacity import Sizing, policy_findings, sizing_findings
from memrouter.doctor.durability import durability_findings
from memrouter.doctor.findings import Level, broken, ok, printable, warning, worst
from memrouter.doctor.index import index_findings
from memrouter.doctor.server_advice import info_fields, module_finding, role_findings, skew_finding, version_finding
from memrouter.doctor.sqlite import disk_finding, log_finding
from memrouter.errors import ConfigError
from memrouter.sizing.valkey import valkey_size
from memrouter.sizing.workload import Workload
from memrouter.stores.valkey.index_info import FoundIndex, VectorField
from memrouter.stores.valkey.schema import IndexSchema
from memrouter.stores.valkey.server import ServerFacts

ADDRESS = ServerAddress.of_store(ValkeySettings(host="valkey-memory"))
MIB = 1 << 20


def facts(version: bytes, module: int | None) -> ServerFacts:
    modules = [] if module is None else [[b"name", b"search", b"ver", module]]
    return ServerFacts.read(version, modules)


def test_the_worst_finding_is_the_exit_status() -> None:
    found = [ok("a", "x"), warning("b", "x", why="", fix="")]
    assert [int(worst(found[:n])) for n in range(3)] == [0, 0, 1]
    assert worst([*found, broken("c", "x", why="", fix="")]) == 2


@given(st.text())
def test_nothing_printed_steers_a_terminal(text: str) -> None:
    shown = printable(text + "\x1b[2J\u202e\r\n")
    assert not any(ord(letter) < 32 or letter in "\x7f\x9b\u202e\u2028" for letter in shown)


def test_the_command_line_carries_everything_but_the_password() -> None:
    settings = ValkeySettings.model_validate(
        {"host": "a b", "username": "u'", "password": "s3cret", "database": 2, "tls_enabled": True, "tls_ca_path": "/c"}
    )
    line = ServerAddress.of_store(settings).cli("ACL", "SETUSER", "~mem:*")
    assert line == (
        "valkey-cli -h 'a b' -p 6379 -n 2 --tls --cacert /c --user 'u'\"'\"'' --askpass ACL SETUSER '~mem:*'"
    )


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:0", "host:70000", "host:x"])
def test_a_cache_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="host:port"):
        ServerAddress.of_cache(RedisCacheSettings(address=address))


def test_a_cache_address_may_be_ipv6() -> None:
    found = ServerAddress.of_cache(RedisCacheSettings(address="[::1]:6379"))
    assert (found.host, found.port, str(found)) == ("::1", 6379, "[::1]:6379")


@pytest.mark.parametrize(
    ("info", "level"),
    [
        (b"valkey_version:9.1.2\r\nredis_version:7.2.4", Level.OK),
        (b"valkey_version:8.0.0", Level.OK),
        (b"valkey_version:7.2.5", Level.BROKEN),
        (b"redis_version:7.4.0", Level.OK),
        (b"redis_version:6.2.0", Level.BROKEN),
        (b"", Level.WARNING),
    ],
)
def test_old_servers_are_broken_and_unseen_ones_a_warning(info: bytes, level: Level) -> None:
    assert version_finding(facts(info, None)).level is level


@pytest.mark.parametrize(
    ("module", "seen", "level"),
    [
        ((1 << 16) | (2 << 8) | 1, "valkey-search 1.2.1", Level.OK),
        ((1 << 16) | (1 << 8), "valkey-search 1.1.0", Level.BROKEN),
        (21005, "RediSearch 2.10.5", Level.OK),
        (20815, "RediSearch 2.8.15", Level.BROKEN),
    ],
)
def test_both_encodings_of_the_module_version_are_read(module: int, seen: str, level: Level) -> None:
    finding = module_finding(facts(b"", module), ADDRESS, knows_search=True)
    assert finding.seen.startswith(seen)
    assert finding.level is level


def test_a_module_that_may_not_be_listed_but_works_is_fine() -> None:
    hidden = ServerFacts.read(b"", None)
    assert module_finding(hidden, ADDRESS, knows_search=True).level is Level.OK
    assert module_finding(hidden, ADDRESS, knows_search=False).level is Level.BROKEN
    assert module_finding(facts(b"", None), ADDRESS, knows_search=None).level is Level.BROKEN


def test_a_replica_of_a_cluster_is_fine_since_the_client_finds_the_primaries() -> None:
    (finding,) = role_findings({"role": "slave", "cluster_enabled": "1"}, ADDRESS, cluster=True)
    assert finding.level is Level.OK


def test_a_lone_server_with_cluster_true_is_broken() -> None:
    *_, finding = role_findings({"role": "master", "cluster_enabled": "0"}, ADDRESS, cluster=True)
    assert (finding.level, finding.fix) == (Level.BROKEN, "set global.stores.memory.valkey.cluster: false")


@pytest.mark.parametrize(
    ("server", "level"),
    [(10_000, Level.OK), (10_050, Level.OK), (12_101, Level.WARNING), (7_999, Level.WARNING), (8_001, Level.OK)],
)
def test_clocks_are_compared_apart_from_the_time_of_the_answer(server: int, level: Level) -> None:
    assert skew_finding(server, 10_000, 10_100).level is level


@pytest.mark.parametrize(
    ("info", "config", "level", "seen"),
    [
        ({"aof_enabled": "1"}, {"appendfsync": "always"}, Level.OK, "no acknowledged memory"),
        ({"aof_enabled": "1"}, {"appendfsync": "everysec"}, Level.OK, "last second"),
        ({"aof_enabled": "1"}, {"appendfsync": "no"}, Level.WARNING, "appendfsync no"),
        ({"aof_enabled": "1"}, {}, Level.OK, "append-only file on"),
        ({"aof_enabled": "0"}, {"save": "900 1"}, Level.WARNING, "snapshots only (save 900 1)"),
        ({"aof_enabled": "0"}, {"save": ""}, Level.WARNING, "off"),
        ({"aof_enabled": "0"}, {}, Level.WARNING, "may not be seen"),
    ],
)
def test_persistence_is_told_by_what_a_crash_costs(
    info: Mapping[str, str], config: Mapping[str, str], level: Level, seen: str
) -> None:
    (finding,) = durability_findings(info, config, ADDRESS)
    assert finding.level is level
    assert seen in finding.seen


def test_failed_saves_are_broken_only_where_they_are_switched_on() -> None:
    failed = {"aof_enabled": "1", "aof_last_write_status": "err", "rdb_last_bgsave_status": "err"}
    levels = [one.level for one in durability_findings(failed, {"appendfsync": "everysec", "save": ""}, ADDRESS)]
    assert levels == [Level.BROKEN, Level.OK]
    both = [one.seen for one in durability_findings(failed, {"appendfsync": "everysec", "save": "60 1"}, ADDRESS)]
    assert both[:2] == ["the last write of the append-only file failed", "the last snapshot failed"]


@pytest.mark.parametrize(
    ("used", "limit", "policy", "levels"),
    [
        (10, 100, "noeviction", [Level.OK, Level.OK]),
        (80, 100, "noeviction", [Level.OK, Level.WARNING]),
        (100, 100, "noeviction", [Level.OK, Level.BROKEN]),
        (10, 0, "noeviction", [Level.OK, Level.OK]),
        (10, 0, "allkeys-lru", [Level.WARNING, Level.OK]),
        (10, 100, "volatile-ttl", [Level.WARNING, Level.OK]),
    ],
)
def test_policy_and_room_are_judged_apart(used: int, limit: int, policy: str, levels: list[Level]) -> None:
    info = {"maxmemory_policy": policy, "maxmemory": str(limit * MIB), "used_memory": str(used * MIB)}
    assert [one.level for one in policy_findings(info, ADDRESS)] == levels


def test_without_a_limit_the_advice_leaves_a_quarter_of_the_machine() -> None:
    info = {"maxmemory_policy": "noeviction", "maxmemory": "0", "total_system_memory": str(8 << 30)}
    *_, finding = policy_findings(info, ADDRESS)
    assert finding.fix.endswith("CONFIG SET maxmemory 6144mb")


def test_the_size_of_a_memory_is_that_of_memrouter_size() -> None:
    for links, words in ((0, False), (16, False), (16, True)):
        size = valkey_size(Workload(100_000, 384, graph_links=links, text_index=words))
        assert Sizing(dimension=384, graph_links=links, text_index=words).memory_bytes == size.data // 100_000


@pytest.mark.parametrize("links", [1, 10_000])
def test_an_index_with_odd_links_is_sized_all_the_same(links: int) -> None:
    assert Sizing(dimension=8, graph_links=links).total_bytes(0) < Sizing(dimension=8, graph_links=links).total_bytes(1)


def test_room_is_counted_in_memories_and_strangers_are_noticed() -> None:
    sizing = Sizing(dimension=384)
    used = sizing.total_bytes(1000)
    usual = {"used_memory": str(used), "maxmemory": str(used + 2000 * sizing.memory_bytes)}
    (finding,) = sizing_findings(usual, 1000, sizing)
    assert (finding.level, "room for about 2000 more" in finding.seen) == (Level.OK, True)
    (finding,) = sizing_findings({"used_memory": str(sizing.total_bytes(3000))}, 1000, sizing)
    assert finding.level is Level.OK
    (finding,) = sizing_findings({"used_memory": str(500 * MIB)}, 1000, sizing)
    assert finding.level is Level.WARNING


def found(**changes: object) -> FoundIndex:
    schema = IndexSchema(name="mem_idx", prefix="mem:", dimension=64, metric="COSINE")
    values: dict[str, object] = {
        "key_type": "HASH",
        "prefixes": ("mem:",),
        "fields": schema.fields,
        "vector": VectorField("FLAT", 64, "COSINE", "FLOAT32"),
        "documents": 3,
        "failures": 0,
        "backfilling": False,
        "progress": 1.0,
        "paused": False,
    }
    return FoundIndex(**{**values, **changes})  # type: ignore[arg-type]  # the values are those of the fields


@pytest.mark.parametrize(
    ("changes", "level", "text"),
    [
        ({}, Level.OK, "3 memories"),
        ({"backfilling": True, "progress": 0.25}, Level.WARNING, "25% done"),
        ({"paused": True, "progress": 0.5}, Level.BROKEN, "want of memory"),
        ({"failures": 2}, Level.WARNING, "2 keys could not be taken"),
        ({"prefixes": ("shop:",)}, Level.BROKEN, "prefix"),
    ],
)
def test_an_index_is_judged_by_fit_and_completeness(changes: dict[str, object], level: Level, text: str) -> None:
    schema = IndexSchema(name="mem_idx", prefix="mem:", dimension=64, metric="COSINE")
    findings = list(index_findings(found(**changes), schema, ADDRESS))
    assert worst(findings) is level
    assert any(text in finding.seen for finding in findings)


def test_disk_and_log_have_limits() -> None:
    levels = [disk_finding(free, Path("/x")).level for free in (1 << 40, 500 * MIB, MIB)]
    assert levels == [Level.OK, Level.WARNING, Level.BROKEN]
    assert [log_finding(size, Path("/x")).level for size in (MIB, 300 * MIB)] == [Level.OK, Level.WARNING]


@given(st.binary())
def test_any_bytes_in_place_of_info_are_read_without_harm(reply: bytes) -> None:
    fields = info_fields(reply)
    list(durability_findings({"aof_enabled": "0", **fields}, {}, ADDRESS))
    list(policy_findings({"maxmemory_policy": "noeviction", **fields}, ADDRESS))
    list(role_findings(fields, ADDRESS, cluster=False))

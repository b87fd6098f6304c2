"""The classic failures, each provoked on a real server: level, advice and exit status."""

import asyncio
import re
import shlex
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import memrouter.stores.valkey as stores_valkey
from memrouter.doctor.permissions import COMMANDS, FURTHER
from memrouter.doctor.resp import RespConnection
from memrouter.stores.valkey.connection import Connection
from memrouter.stores.valkey.index import SearchIndex
from memrouter.testing.valkey import ValkeyServer, free_port

from .clinic import AOF, Doctor, Launch

VALKEY_PAGE = Path(__file__).parents[2] / "docs" / "valkey.md"


def command(server: ValkeyServer, *commands: Sequence[str | int]) -> list[Any]:
    """Return the replies of a server to some commands."""

    async def run() -> list[Any]:
        connection = await RespConnection.open("127.0.0.1", server.port, patience=5)
        try:
            return [await connection.run(one) for one in commands]
        finally:
            await connection.aclose()

    return asyncio.run(run())


def make_index(server: ValkeyServer, *, dimension: int = 64, model: str = "hash-64", **changes: Any) -> None:
    """Make the index as a router does that starts."""

    async def run() -> None:
        settings = server.settings(**changes)
        connection = await Connection.open(settings)
        try:
            await SearchIndex(connection, settings, dimension=dimension, embedding_model=model).ensure()
        finally:
            await connection.aclose()

    asyncio.run(run())


def test_a_healthy_server_has_no_finding_but_good_ones_in_the_order_of_the_walk(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF, "--maxmemory", "200mb")
    make_index(server)
    outcome = doctor.valkey(server.port)
    assert (outcome.status, outcome.at("warning"), outcome.at("broken")) == (0, set(), set())
    assert outcome.checks == [
        "configuration", "identity", "embedder", "valkey name", "valkey tcp", "valkey authentication", "valkey rights",
        "valkey version", "valkey role", "valkey search module", "index", "canary", "persistence", "eviction policy",
        "maxmemory", "memory use", "clock", "upstream",
    ]  # fmt: skip
    assert outcome.of("canary")["seen"] == "a memory was written, found and removed again"


def test_the_doctor_leaves_nothing_behind(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    make_index(server)
    before = command(server, ["KEYS", "*"])
    doctor.valkey(server.port)
    assert command(server, ["KEYS", "*"]) == before


def test_a_fresh_server_is_not_given_an_index(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    outcome = doctor.valkey(server.port)
    assert outcome.status == 0
    assert "does not exist yet" in outcome.of("index")["seen"]
    assert command(server, ["FT._LIST"], ["DBSIZE"]) == [[], 0]


def test_without_the_search_module_the_advice_names_the_image(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*AOF, search=False).port)
    finding = outcome.of("valkey search module")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "unknown command 'FT.CREATE'" in finding["seen"]
    assert "valkey/valkey-bundle" in finding["fix"]
    assert "MODULE LIST" in finding["fix"]
    assert "persistence" in outcome.checks


def test_a_refused_connection_ends_the_way_to_the_store_only(doctor: Doctor) -> None:
    port = free_port()
    outcome = doctor.valkey(port)
    finding = outcome.of("valkey tcp")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "connection refused" in finding["seen"]
    assert f"nc -zv 127.0.0.1 {port}" in finding["fix"]
    assert outcome.checks[-1] == "upstream"


def test_a_connection_timeout_is_named_and_advised(doctor: Doctor) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        outcome = doctor.valkey(listener.getsockname()[1], timeout=0.3)
    finding = outcome.of("valkey tcp")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "connection timeout" in finding["seen"]
    assert "raise its timeout" in finding["fix"]


def test_a_server_that_stands_still_is_not_taken_for_a_firewall(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    server.pause()
    outcome = doctor.valkey(server.port, timeout=0.3)
    server.resume()
    finding = outcome.of("valkey authentication")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "connected, but no answer within 0.3 s" in finding["seen"]
    assert "PING" in finding["fix"]


def test_a_name_without_an_address_is_broken(doctor: Doctor) -> None:
    outcome = doctor.valkey(6379, host="nowhere.invalid")
    assert (outcome.status, outcome.of("valkey name")["level"]) == (2, "broken")
    assert "nslookup nowhere.invalid" in outcome.of("valkey name")["fix"]


@pytest.mark.parametrize(
    ("server_has", "configured", "seen"),
    [
        (("--requirepass", "s3cret-right"), "s3cret-wrong", "wrong password"),
        (("--requirepass", "s3cret-right"), "", "wants a password, and none is configured"),
        ((), "s3cret-wrong", "the server has none"),
    ],
)
def test_passwords_that_do_not_fit_are_told_apart(
    doctor: Doctor, launch: Launch, server_has: tuple[str, ...], configured: str, seen: str
) -> None:
    outcome = doctor.valkey(launch(*AOF, *server_has).port, password=configured)
    finding = outcome.of("valkey authentication")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert seen in finding["seen"]
    assert "password" in finding["fix"]
    assert "s3cret" not in outcome.text


def test_the_right_password_is_accepted_and_not_shown(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*AOF, "--requirepass", "s3cret-right").port, password="s3cret-right")
    assert outcome.status == 0
    assert "s3cret" not in outcome.text


def limited(launch: Launch, *rules: str) -> ValkeyServer:
    server = launch(*AOF)
    make_index(server)
    command(server, ["ACL", "SETUSER", "router", "on", ">s3cret", *rules])
    return server


def test_missing_commands_are_named_with_the_command_that_grants_them(doctor: Doctor, launch: Launch) -> None:
    server = limited(launch, "~*", "+@all", "-hset", "-ft.search")
    outcome = doctor.valkey(server.port, username="router", password="s3cret")
    finding = outcome.of("valkey rights")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert finding["seen"] == "user router may not use: HSET, FT.SEARCH (NOPERM)"
    assert finding["fix"].endswith("ACL SETUSER router +hset +ft.search")
    assert "s3cret" not in outcome.text


def test_side_keys_that_an_acl_forgot_are_found(doctor: Doctor, launch: Launch) -> None:
    server = limited(launch, "~mem:*", "+@all")
    outcome = doctor.valkey(server.port, username="router", password="s3cret")
    finding = outcome.of("valkey rights")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert finding["fix"].endswith("ACL SETUSER router '~~mem:*' '~mem_idx'")


def test_the_advised_grants_are_enough(doctor: Doctor, launch: Launch) -> None:
    rules = ["~mem:*", "~~mem:*", "~mem_idx", "+@connection", "+info", "+multi", "+discard", "+module|list"]
    server = limited(launch, *rules, *(f"+{name.lower()}" for name in COMMANDS))
    outcome = doctor.valkey(server.port, username="router", password="s3cret")
    assert outcome.of("valkey rights")["seen"].startswith("user router may run every command")
    assert "written, found and removed" in outcome.of("canary")["seen"]


def test_the_documented_rights_are_enough(doctor: Doctor, launch: Launch) -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "doctor.md").read_text()
    (line,) = re.findall(r"^valkey-cli (ACL SETUSER memrouter .*)$", page, re.MULTILINE)
    server = launch(*AOF)
    make_index(server)
    command(server, shlex.split(line))
    outcome = doctor.valkey(server.port, username="memrouter", password="PASSWORD")
    assert (outcome.status, outcome.at("broken"), outcome.at("warning")) == (0, set(), set())
    assert {"clock", "canary", "persistence"} <= outcome.at("ok")


def test_rights_that_only_other_commands_need_are_a_warning(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    make_index(server)
    command(server, ["ACL", "SETUSER", *rights_of_the_router(), "+multi", "+discard"])
    outcome = doctor.valkey(server.port, username="memrouter", password="PASSWORD")
    finding = outcome.of("valkey rights")
    assert (finding["level"], set(re.findall(r"[A-Z.]{3,}", finding["seen"]))) == ("warning", {*FURTHER, "NOPERM"})
    assert "written, found and removed" in outcome.of("canary")["seen"]


def test_what_is_tried_is_what_the_page_grants() -> None:
    page = VALKEY_PAGE.read_text()
    table = page.partition("Further rights:")[2].partition("\n\nStore the password")[0]
    words = [*rights_of_the_router(), *re.findall(r"\+[a-z.\\|]+", table)]
    granted = {word[1:].upper() for word in words if word.startswith("+")}
    besides = {"CLIENT|SETNAME", "CLUSTER\\|SLOTS", "INFO", "MODULE\\|LIST", "PING", "SELECT"}
    assert granted - besides == COMMANDS


def rights_of_the_router() -> list[str]:
    (line,) = re.findall(r"^ACL SETUSER (memrouter .*)$", VALKEY_PAGE.read_text(), re.MULTILINE)
    return shlex.split(line.replace(">", "\\>"))


def test_every_command_of_the_store_is_among_those_that_are_tried() -> None:
    folder = Path(stores_valkey.__file__).parent
    source = "".join(file.read_text() for file in folder.glob("*.py"))
    scripts = set(re.findall(r"redis\.p?call\(['\"]([A-Z]+)", source))
    direct = set(re.findall(r"\[\"([A-Z][A-Z.]+)\",", source)) - {"FLAT", "INFO", "NUMERIC", "PING", "TAG", "VECTOR"}
    assert {"HSET", "ZRANGE"} <= scripts
    assert {"HMGET", "FT.CREATE"} <= direct
    assert scripts | direct <= COMMANDS


def test_a_replica_is_broken_and_the_primary_is_named(doctor: Doctor, launch: Launch) -> None:
    primary = launch(*AOF)
    replica = launch("--replicaof", f"127.0.0.1 {primary.port}")
    outcome = doctor.valkey(replica.port)
    finding = outcome.of("valkey role")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert f"127.0.0.1:{primary.port}" in finding["fix"]


def cluster_mode() -> tuple[str, ...]:
    """Return arguments for a cluster node on any port: its usual bus port, 10,000 above, may not exist."""
    return ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))


def test_a_cluster_node_without_cluster_true_is_broken(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*cluster_mode(), search=False).port)
    finding = outcome.of("valkey cluster mode")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert finding["fix"] == "set global.stores.memory.valkey.cluster: true"


def test_a_cluster_whose_slots_nobody_serves_is_broken(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*cluster_mode(), search=False).port, cluster=True)
    finding = outcome.of("valkey cluster state")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "0 of 16384 slots" in finding["seen"]


def test_an_index_that_exists_already_with_another_dimension_is_broken(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    make_index(server, dimension=32)
    outcome = doctor.valkey(server.port)
    finding = outcome.of("index")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "exists already, but its dimension is 32; configured is 64" in finding["seen"]
    assert "FT.DROPINDEX mem_idx" in finding["fix"]
    assert outcome.of("index vectors")["level"] == "broken"
    assert "canary" not in outcome.checks


def test_an_index_of_somebody_else_under_the_same_name_is_broken(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    command(server, ["FT.CREATE", "mem_idx", "ON", "HASH", "PREFIX", 1, "shop:", "SCHEMA", "title", "TEXT"])
    outcome = doctor.valkey(server.port)
    assert outcome.status == 2
    texts = [one["seen"] for one in outcome.findings if one["check"] == "index"]
    assert any("already exists" in text or "exists already, but its prefix is 'shop:'" in text for text in texts)


def test_vectors_of_another_model_are_broken_though_the_dimension_fits(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    make_index(server, model="another")
    outcome = doctor.valkey(server.port)
    finding = outcome.of("index vectors")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "vectors of another" in finding["seen"]
    assert "memrouter reindex --embedding-model hash-64" in finding["fix"]


def test_memories_without_an_index_are_a_warning(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    command(server, ["HSET", "mem:1", "content", "x"])
    outcome = doctor.valkey(server.port)
    finding = outcome.of("index")
    assert (outcome.status, finding["level"]) == (1, "warning")
    assert "memrouter index create" in finding["fix"]


def test_an_index_of_the_go_router_is_a_warning_that_names_the_rebuild(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    fields: list[str | int] = [
        "user_id",
        "TAG",
        "memory_type",
        "TAG",
        "content",
        "TEXT",
        "created_at",
        "NUMERIC",
        "SORTABLE",
    ]
    vector: list[str | int] = [
        "embedding",
        "VECTOR",
        "HNSW",
        6,
        "TYPE",
        "FLOAT32",
        "DIM",
        64,
        "DISTANCE_METRIC",
        "COSINE",
    ]
    command(server, ["FT.CREATE", "mem_idx", "ON", "HASH", "PREFIX", 1, "mem:", "SCHEMA", *fields, *vector])
    outcome = doctor.valkey(server.port)
    finding = outcome.of("index")
    assert (outcome.status, finding["level"]) == (1, "warning")
    assert "memrouter index rebuild" in finding["fix"]
    assert command(server, ["DBSIZE"]) == [0]


def test_a_policy_that_evicts_is_a_warning_with_the_command(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*AOF, "--maxmemory", "200mb", "--maxmemory-policy", "allkeys-lru").port)
    finding = outcome.of("eviction policy")
    assert (outcome.status, finding["level"]) == (1, "warning")
    assert "allkeys-lru" in finding["seen"]
    assert "CONFIG SET maxmemory-policy noeviction" in finding["fix"]


def test_no_persistence_is_a_warning_with_the_command(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch().port)
    finding = outcome.of("persistence")
    assert (outcome.status, finding["level"]) == (1, "warning")
    assert "CONFIG SET appendonly yes" in finding["fix"]


def test_a_server_out_of_memory_is_broken(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    make_index(server)
    command(server, ["CONFIG", "SET", "maxmemory", 1_000_000])
    outcome = doctor.valkey(server.port)
    assert (outcome.status, outcome.of("maxmemory")["level"]) == (2, "broken")
    assert "OOM command not allowed" in outcome.of("valkey writes")["seen"]
    assert "CONFIG SET maxmemory" in outcome.of("valkey writes")["fix"]
    assert "max_memories_per_user" in outcome.of("maxmemory")["fix"]
    assert outcome.of("canary")["level"] == "broken"


def test_another_database_than_0_needs_valkey_search(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*AOF).port, database=1)
    finding = outcome.of("valkey search module")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "database: 0" in finding["fix"]


def test_a_database_that_does_not_exist_is_broken(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*AOF, "--databases", "1").port, database=3)
    assert (outcome.status, outcome.of("valkey authentication")["level"]) == (2, "broken")
    assert "no database 3" in outcome.of("valkey authentication")["seen"]


def test_tls_towards_a_plain_port_is_broken(doctor: Doctor, launch: Launch) -> None:
    outcome = doctor.valkey(launch(*AOF).port, tls_enabled=True, timeout=1)
    assert (outcome.status, outcome.of("valkey tls")["level"]) == (2, "broken")
    assert "tls_enabled: false" in outcome.of("valkey tls")["fix"]


def test_a_ca_file_that_is_not_there_is_broken(doctor: Doctor, launch: Launch, tmp_path: Path) -> None:
    outcome = doctor.valkey(launch(*AOF).port, tls_enabled=True, tls_ca_path=str(tmp_path / "none.pem"))
    assert (outcome.status, outcome.of("valkey tls")["level"]) == (2, "broken")
    assert "tls_ca_path" in outcome.of("valkey tls")["fix"]


def test_a_hot_cache_that_is_down_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    cache = {"enabled": True, "address": f"127.0.0.1:{free_port()}"}
    outcome = doctor.sqlite(tmp_path / "m.db", redis_cache=cache)
    assert (outcome.status, outcome.of("cache tcp")["level"]) == (1, "warning")


def test_a_hot_cache_that_answers_is_fine(doctor: Doctor, launch: Launch, tmp_path: Path) -> None:
    cache = {"enabled": True, "address": f"127.0.0.1:{launch(search=False).port}", "db": 1}
    outcome = doctor.sqlite(tmp_path / "m.db", redis_cache=cache)
    assert (outcome.status, outcome.of("cache authentication")["level"]) == (0, "ok")


def test_a_reindex_under_way_is_told(doctor: Doctor, launch: Launch) -> None:
    server = launch(*AOF)
    make_index(server)
    command(
        server, ["HSET", "~mem:meta", "reindex_model", "newer", "reindex_dimension", "8", "reindex_phase", "filling"]
    )
    finding = doctor.valkey(server.port).of("index vectors")
    assert finding["level"] == "warning"
    assert "memrouter reindex --embedding-model newer --dimension 8" in finding["fix"]

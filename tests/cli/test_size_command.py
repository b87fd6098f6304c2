"""``memrouter size``."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from memrouter.cli.main import app
from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.connection import Connection
from memrouter.testing.valkey import ValkeyServer, some_server


def size(*args: str) -> Result:
    return CliRunner().invoke(app, ["size", *args])


def facts(*args: str) -> dict[str, Any]:
    result = size(*args, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def config(folder: Path, settings: ValkeySettings, **memory: object) -> str:
    valkey = {"host": settings.host, "port": settings.port, "timeout": 10, "dimension": 96, "index_algorithm": "hnsw"}
    block = {"backend": "valkey", "valkey": valkey} | memory
    model = {"name": "m", "backend_refs": [{"base_url": "http://127.0.0.1:1/v1"}]}
    path = folder / "router.yaml"
    document = {"version": "v0.3", "providers": {"models": [model]}, "global": {"stores": {"memory": block}}}
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeySettings]:
    with some_server(os.environ) as settings:
        if settings.cluster:
            pytest.skip("measuring is for one server")
        yield settings


def test_the_parts_make_the_whole() -> None:
    found = facts("--memories", "100000", "--dimension", "384", "--replicas", "2")
    memory = found["valkey"]["memory"]
    assert memory.pop("total") == sum(memory.values())
    milvus = found["milvus"]["memory"]
    assert milvus.pop("total") == sum(milvus.values())
    assert found["valkey"]["server"]["pods"] == 3
    assert (found["users"], found["index"], found["m"], found["largest"]) == (1000, "flat", None, None)


def test_a_graph_costs_more_and_compact_hashes_less() -> None:
    flat, graph, compact = (
        facts("-n", "10000", "--dimension", "384", *more)["valkey"]["bytes_per_memory"]
        for more in ((), ("--index", "hnsw", "--m", "32"), ("--hash-max-listpack-value", "32768"))
    )
    assert compact < 0.95 * flat < flat < graph


def test_a_limit_is_answered_with_what_fits() -> None:
    fits = facts("-n", "1000", "--dimension", "256", "--limit", "4Gi")["largest"]
    assert fits["limit"] == 4 << 30
    again = facts("-n", str(fits["valkey"]), "--dimension", "256")
    assert again["valkey"]["server"]["limit"] <= 4 << 30
    more = facts("-n", str(fits["valkey"] + 20_000), "--dimension", "256")
    assert more["valkey"]["server"]["limit"] > 4 << 30


def test_a_person_reads_maxmemory_pods_files_and_the_policy() -> None:
    text = size("-n", "100000", "--limit", "1Gi").output
    for part in ("100,000 memories of 1,000 users", "256 numbers", "maxmemory 640mb", "noeviction", "requests",
                 "append-only file", "Milvus", "SQLite", "At most, in 1.0 GiB"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("-n", "0"), "--memories"),
        (("-n", "10", "--dimension", "0"), "--dimension"),
        (("-n", "10", "--limit", "much"), "--limit"),
        (("-n", "10", "--index", "hnsw", "--m", "1"), "--m"),
        (("-n", "10", "--users", "11"), "--users"),
    ],
)
def test_a_number_out_of_range_ends_it_with_the_option_s_name(args: tuple[str, ...], named: str) -> None:
    result = size(*args)
    assert result.exit_code == 2
    assert named in result.output
    assert "Traceback" not in result.output


def test_without_a_known_dimension_it_asks_for_one(tmp_path: Path, server: ValkeySettings) -> None:
    path = config(tmp_path, server, embedding_model="bert", valkey={"host": server.host, "port": server.port})
    result = size("-n", "10", "-c", path)
    assert result.exit_code == 2
    assert "Give --dimension" in result.output


def test_measuring_sets_the_server_s_figures_beside_the_formula(tmp_path: Path, server: ValkeySettings) -> None:
    path = config(tmp_path, server)
    found = facts("-n", "2000", "-c", path, "--measure")
    assert (found["dimension"], found["index"], found["m"]) == (96, "hnsw", 16)
    assert abs(found["measured"]["difference_percent"]) < 15
    text = size("-n", "500", "-c", path, "--measure", "--index", "flat").output
    assert "difference" in text
    assert "used_memory" in text.split("Measured on", 1)[1]


def test_a_server_that_is_away_ends_it_with_the_reason(tmp_path: Path) -> None:
    path = config(tmp_path, ValkeySettings(host="127.0.0.1", port=1))
    result = size("-n", "10", "-c", path, "--measure")
    assert result.exit_code == 2
    assert "cannot be reached" in result.output


async def test_being_told_to_end_counts_as_ctrl_c_and_leaves_nothing_on_the_server(tmp_path: Path) -> None:
    async with ValkeyServer() as server:
        path = config(tmp_path, server.settings())
        connection = await Connection.open(server.settings())
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "memrouter"),  # as in the background
            *("size", "-n", "200000", "-c", path, "--measure", "--index", "flat"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            while await connection.run(["DBSIZE"]) < 1000:
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = await process.communicate()
        assert process.returncode == 130, told.decode()
        assert b"interrupted" in told
        assert await connection.run(["DBSIZE"]) == 0
        assert await connection.run(["FT._LIST"]) == []
        await connection.aclose()

"""Configuration, embedder, SQLite and upstreams: what is found, and how the command reports it."""

import asyncio
import json
import sqlite3
from pathlib import Path

from typer.testing import CliRunner

from memrouter.cli.main import app
from memrouter.config.memory import SqliteSettings
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.sqlite.reindex import SqliteReindexing
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.valkey import free_port

from .clinic import Doctor


def make_database(path: Path, *, model: str = "hash-64", dimension: int = 64) -> None:
    async def run() -> None:
        store = await SqliteStore.open(SqliteSettings(path=str(path)), dimension=dimension, embedding_model=model)
        await store.aclose()

    asyncio.run(run())


def test_a_new_installation_is_fine_and_no_file_is_made(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    outcome = doctor.sqlite(path)
    assert (outcome.status, outcome.at("broken"), outcome.at("warning")) == (0, set(), set())
    assert "does not exist yet" in outcome.of("sqlite file")["seen"]
    assert not path.exists()


def test_a_good_database_is_checked_through_and_left_as_it_is(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    make_database(path)
    before = path.read_bytes()
    outcome = doctor.sqlite(path)
    assert outcome.status == 0
    assert outcome.checks == [
        "configuration", "identity", "embedder", "sqlite disk", "sqlite log", "sqlite file", "sqlite integrity",
        "sqlite vectors", "upstream",
    ]  # fmt: skip
    assert path.read_bytes() == before


def test_vectors_of_another_model_in_the_file_are_broken(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    make_database(path, model="wordllama-256", dimension=256)
    outcome = doctor.sqlite(path)
    finding = outcome.of("sqlite vectors")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "wordllama-256 (256 numbers), but hash-64 (64 numbers) is configured" in finding["seen"]
    assert "embedding_model back to wordllama-256" in finding["fix"]


def test_a_damaged_database_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    make_database(path)
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xa5" * (len(data) - 4096 * 2)
    path.write_bytes(data)
    outcome = doctor.sqlite(path)
    assert outcome.status == 2
    assert outcome.at("broken") & {"sqlite file", "sqlite integrity"}


def test_another_programs_database_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE shop (item TEXT)")
    connection.commit()
    connection.close()
    outcome = doctor.sqlite(path)
    assert (outcome.status, outcome.of("sqlite file")["level"]) == (2, "broken")
    assert "another program" in outcome.of("sqlite file")["seen"]


def test_a_missing_folder_is_broken_with_the_command_that_makes_it(doctor: Doctor, tmp_path: Path) -> None:
    outcome = doctor.sqlite(tmp_path / "none" / "m.db")
    finding = outcome.of("sqlite file")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert finding["fix"].startswith(f"mkdir -p {tmp_path / 'none'}")


def test_a_folder_in_place_of_the_file_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    outcome = doctor.sqlite(tmp_path)
    assert (outcome.status, outcome.of("sqlite file")["level"]) == (2, "broken")


def test_a_locked_database_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    make_database(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    outcome = doctor.sqlite(path)
    holder.close()
    assert (outcome.status, outcome.of("sqlite file")["level"]) == (2, "broken")
    assert "locked by another process" in outcome.of("sqlite file")["seen"]


def test_an_embedder_that_is_not_there_does_not_end_the_walk(doctor: Doctor, tmp_path: Path) -> None:
    endpoint = {"base_url": f"http://127.0.0.1:{free_port()}/v1", "timeout": 1}
    outcome = doctor.sqlite(tmp_path / "m.db", embedding_model="openai", embedding_endpoint=endpoint)
    finding = outcome.of("embedder")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "embedding_endpoint" in finding["fix"]
    assert {"sqlite file", "upstream"} <= set(outcome.checks)


def test_a_store_dimension_below_the_embedders_is_broken(doctor: Doctor) -> None:
    outcome = doctor.valkey(free_port(), dimension=8)
    finding = outcome.of("embedder")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "64 (the dimension of hash-64) or more" in finding["seen"]


def test_a_model_without_a_backend_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    doctor.sqlite(tmp_path / "m.db")
    port = free_port()
    text = doctor.file.read_text()
    doctor.file.write_text(text.replace(text.split("endpoint: ")[1].split("\n")[0], f"127.0.0.1:{port}"))
    outcome = doctor.run()
    finding = outcome.of("upstream")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert f"nc -zv 127.0.0.1 {port}" in finding["fix"]


def test_one_of_two_backends_down_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    doctor.sqlite(tmp_path / "m.db")
    more = f"backend_refs:\n    - {{name: far, endpoint: '127.0.0.1:{free_port()}'}}\n"
    doctor.file.write_text(doctor.file.read_text().replace("backend_refs:\n", more))
    outcome = doctor.run()
    assert (outcome.status, outcome.of("upstream")["level"]) == (1, "warning")
    assert "backend 'far'" in outcome.of("upstream")["seen"]


def test_a_configuration_that_cannot_be_used_is_the_only_finding(doctor: Doctor) -> None:
    doctor.file.write_text("listeners: [{port: x}]\nproviders: {modles: []}\n")
    outcome = doctor.run()
    assert (outcome.status, outcome.at("broken"), len(outcome.findings)) == (2, {"configuration"}, 2)
    assert f"{doctor.file}:2" in outcome.findings[1]["seen"]
    assert "Did you mean 'models'?" in outcome.findings[1]["fix"]


def test_settings_of_the_go_router_are_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    outcome = doctor.sqlite(tmp_path / "m.db", qdrant={"host": "localhost"})
    assert (outcome.status, outcome.of("configuration")["level"]) == (1, "warning")
    assert "global.stores.memory.qdrant" in outcome.of("configuration")["seen"]


def test_memory_that_is_off_is_not_looked_at(doctor: Doctor, tmp_path: Path) -> None:
    outcome = doctor.sqlite(tmp_path / "none" / "m.db", enabled=False)
    assert (outcome.status, outcome.checks) == (0, ["configuration", "identity", "memory", "upstream"])


def test_a_pipe_gets_plain_lines_with_why_and_fix(doctor: Doctor, tmp_path: Path) -> None:
    doctor.sqlite(tmp_path / "none" / "m.db")
    lines = doctor.lines().splitlines()
    at = lines.index(f"broken: sqlite file: the folder {tmp_path / 'none'} does not exist")
    assert lines[at + 1].startswith("  why: ")
    assert lines[at + 2].startswith("  fix: mkdir -p")
    assert lines[-1] == "1 broken, 0 warnings, 4 ok"


def test_json_names_the_worst_level_first(doctor: Doctor, tmp_path: Path) -> None:
    doctor.sqlite(tmp_path / "m.db")
    result = CliRunner().invoke(app, ["doctor", "--json", "--config", str(doctor.file)])
    report = json.loads(result.stdout)
    assert report["level"] == "ok"
    assert set(report["findings"][0]) == {"check", "level", "seen", "why", "fix"}


def test_a_reindex_under_way_is_a_warning_for_the_old_model_and_broken_for_the_new(
    doctor: Doctor, tmp_path: Path
) -> None:
    path = tmp_path / "m.db"
    for model, dimension, level in (("hash-64", 64, "warning"), ("older", 64, "broken")):
        path.unlink(missing_ok=True)
        make_database(path, model=model, dimension=dimension)
        target = EmbeddingSpace("hash-64", 64) if level == "broken" else EmbeddingSpace("newer", 8)
        asyncio.run(begin_reindex(path, target))
        finding = doctor.sqlite(path).of("sqlite vectors")
        assert finding["level"] == level
        assert f"a reindex to {target} is under way" in finding["seen"]
        assert f"finish it with: {target.command}" in finding["fix"]


async def begin_reindex(path: Path, target: EmbeddingSpace) -> None:
    reindexing = await SqliteReindexing.open(SqliteSettings(path=str(path)), target=target)
    assert await reindexing.begin()
    await reindexing.aclose()

"""The store that memories move to is looked at as the main one is."""

from pathlib import Path

from memrouter.testing.valkey import free_port

from .clinic import AOF, Doctor, Launch
from .test_doctor_elsewhere import make_database


def test_a_good_target_is_checked_through_under_its_own_names(doctor: Doctor, tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    make_database(target)
    outcome = doctor.sqlite(tmp_path / "m.db", migration={"to": {"sqlite": {"path": str(target)}}})
    assert (outcome.status, outcome.at("broken"), outcome.at("warning")) == (0, set(), set())
    assert "does not exist yet" in outcome.of("sqlite file")["seen"]
    assert f"{target} can be written" in outcome.of("migration sqlite file")["seen"]
    assert outcome.checks.index("migration sqlite disk") > outcome.checks.index("sqlite file")


def test_a_target_that_cannot_be_used_names_its_own_setting(doctor: Doctor, tmp_path: Path) -> None:
    to = {"sqlite": {"path": str(tmp_path / "none" / "new.db")}}
    outcome = doctor.sqlite(tmp_path / "m.db", migration={"to": to})
    finding = outcome.of("migration sqlite file")
    assert (outcome.status, outcome.at("broken")) == (2, {"migration sqlite file"})
    assert finding["why"].startswith("memories cannot move to it: ")
    assert "global.stores.memory.migration.to.sqlite.path" in finding["fix"]


def test_a_target_with_vectors_of_another_model_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    make_database(target, model="wordllama-256", dimension=256)
    outcome = doctor.sqlite(tmp_path / "m.db", migration={"to": {"sqlite": {"path": str(target)}}})
    assert outcome.at("broken") == {"migration sqlite vectors"}


def test_a_target_set_to_vectors_of_another_length_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    to = {"valkey": {"host": "127.0.0.1", "port": free_port(), "dimension": 128}}
    outcome = doctor.sqlite(tmp_path / "m.db", migration={"to": to})
    finding = outcome.of("migration")
    assert (outcome.status, finding["level"]) == (2, "broken")
    assert "memory.migration.to.valkey.dimension" in finding["seen"]


def test_a_server_as_target_is_looked_at_through_the_same_steps(doctor: Doctor, launch: Launch, tmp_path: Path) -> None:
    to = {"backend": "valkey", "valkey": {"host": "127.0.0.1", "port": launch(*AOF).port}}
    outcome = doctor.sqlite(tmp_path / "m.db", migration={"to": to})
    assert outcome.status == 0
    assert {"migration valkey rights", "migration index", "migration persistence"} <= outcome.at("ok")
    to["valkey"] = {"host": "127.0.0.1", "port": free_port()}
    outcome = doctor.sqlite(tmp_path / "m.db", migration={"to": to})
    assert (outcome.status, outcome.at("broken")) == (2, {"migration valkey tcp"})
    assert "sqlite file" in outcome.at("ok")

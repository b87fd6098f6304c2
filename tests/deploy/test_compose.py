"""deploy/compose is valid in every combination, locked down, and complete."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memrouter.config.load import load_settings

from .compose import FOLDER, project
from .places import make_secrets
from .pod_security import PINNED

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
OVERLAYS: dict[str, tuple[str, ...]] = {
    "plain": ("compose.yaml",),
    "persistent": ("compose.yaml", "compose.persistence.yaml"),
}
BUILT_HERE = {"memrouter"}


@pytest.fixture(scope="module", params=OVERLAYS)
def services(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = project(*OVERLAYS[request.param])["services"]
    return found


@pytest.mark.parametrize("files", OVERLAYS.values(), ids=OVERLAYS)
def test_the_file_is_a_compose_file(files: tuple[str, ...]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(project(*files))


def test_a_file_that_is_none_would_be_noticed() -> None:
    wrong = project()
    wrong["services"]["memrouter"]["restarts"] = "always"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(wrong)


def test_the_overlay_is_valid_by_itself() -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(project("compose.persistence.yaml"))


def test_the_profiles_add_what_they_are_named_for(services: dict[str, Any]) -> None:
    found = {name: service.get("profiles", []) for name, service in services.items()}
    assert found == {
        "memrouter": [], "valkey-memory": [], "etcd": ["milvus"], "minio": ["milvus"], "milvus": ["milvus"],
        "prometheus": ["monitoring"], "grafana": ["monitoring"],
    }  # fmt: skip


def test_every_service_is_locked_down(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service.get("privileged") is None, name
        assert {"memory", "cpus", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["restart"] == "unless-stopped", name
        assert "healthcheck" in service, name
        assert PINNED.fullmatch(service["image"]), name
        if name != "milvus":  # which writes beside its program
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_ports_are_open_on_this_machine_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in services["valkey-memory"]


def test_the_stores_have_no_way_in_or_out() -> None:
    whole = project()
    assert whole["networks"]["store"] == {"internal": True}
    for name in ("valkey-memory", "etcd", "minio", "milvus"):
        assert whole["services"][name]["networks"] == ["store"]


def test_who_is_waited_for_is_there_and_tells_its_health(services: dict[str, Any]) -> None:
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert "healthcheck" in services[other]
            assert how["condition"] == "service_healthy"
            same = set(services[other].get("profiles", [])) <= set(service.get("profiles", []))
            assert same or how["required"] is False, other


def test_every_file_that_is_mounted_exists(services: dict[str, Any]) -> None:
    whole = project(*OVERLAYS["persistent"])
    for service in services.values():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (FOLDER / source).exists(), source
                assert rest.endswith(":ro"), volume
            else:
                assert source in whole["volumes"]


def test_secrets_are_the_files_that_are_made(tmp_path: Path) -> None:
    whole = project()
    make_secrets(tmp_path / "secrets")
    files = {Path(secret["file"]).name for secret in whole["secrets"].values()}
    assert files == {path.name for path in (tmp_path / "secrets").iterdir()}
    used = {name for service in whole["services"].values() for name in service.get("secrets", [])}
    assert used == set(whole["secrets"])
    assert "/secrets/" in (FOLDER / ".gitignore").read_text()


def test_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    make_secrets(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(re.fullmatch("[0-9a-f]{64}", text) for name, text in before.items() if name != "upstream_key")
    assert len(set(before.values())) == len(before)


def test_memories_survive_with_the_overlay_alone() -> None:
    plain, persistent = (project(*files)["services"]["valkey-memory"] for files in OVERLAYS.values())
    assert (plain["command"], "valkey-data:/data" in plain["volumes"]) == ([], False)
    assert persistent["command"] == ["--appendonly", "yes", "--appendfsync", "everysec"]
    assert "valkey-data:/data" in persistent["volumes"]


def test_a_router_that_stops_has_time_to_finish(services: dict[str, Any]) -> None:
    loaded = load_settings(
        FOLDER.parent / "docker" / "router.yaml", env={"MEMROUTER_UPSTREAM": "http://127.0.0.1:9/v1"}
    )
    grace = int(services["memrouter"]["stop_grace_period"].removesuffix("s"))
    assert grace >= loaded.settings.global_.server.shutdown_seconds + 10


@pytest.mark.parametrize("name", ["router.yaml", "router-milvus.yaml"])
def test_every_configuration_loads_with_its_secrets(name: str, tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets")
    text = (FOLDER / name).read_text().replace("/run/secrets", str(tmp_path / "secrets"))
    (tmp_path / name).write_text(text)
    service = project(env={"MEMROUTER_CONFIG": name})["services"]["memrouter"]
    loaded = load_settings(tmp_path / name, env=service["environment"])
    assert loaded.warnings == ()
    assert f"./{name}:/etc/memrouter/router.yaml:ro" in service["volumes"]
    assert set(re.findall(r"/run/secrets/(\w+)", (FOLDER / name).read_text())) <= set(service["secrets"])
    assert loaded.settings.global_.auth.mode == "api_key"
    memory = loaded.settings.global_.stores.memory
    hosts = [one.host for one in (memory.valkey,) if one] + [
        one.address.split(":")[0] for one in (memory.milvus,) if one
    ]
    assert len(hosts) == 1
    assert hosts[0] in project()["services"]

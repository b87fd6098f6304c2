"""deploy/kubernetes is valid, locked down, and fits what the router does."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from memrouter.api.readiness import CHECK_TIMEOUT_SECONDS
from memrouter.config.load import load_settings

from .kubernetes_schemas import VERSIONS, validate
from .manifests import Object, build, pick, pod, pods
from .places import DEPLOY, kubernetes_folder
from .pod_security import faults

VALKEY_PORT = 6379
CLUSTER_BUS_OFFSET = 10_000
COORDINATOR_OFFSET = 20_294  # src/coordinator/util.h of valkey-search 1.2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kubernetes_folder(tmp_path_factory.mktemp("deploy"))


@pytest.fixture(scope="module")
def objects(folder: Path) -> list[Object]:
    return build(folder)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(objects: list[Object], version: str) -> None:
    for one in objects:
        validate(one, version)


def test_an_object_that_is_not_valid_would_be_noticed(objects: list[Object]) -> None:
    wrong = pick(objects, "Service", "memrouter") | {"specs": {}}
    with pytest.raises(jsonschema.ValidationError):
        validate(wrong, VERSIONS[0])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kustomize_builds_the_same_objects(folder: Path, objects: list[Object]) -> None:
    done = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True)
    names = {one["metadata"]["name"] for one in objects if one["kind"] in ("ConfigMap", "Secret")}
    text = re.sub(rf"\b({'|'.join(names)})-[a-z0-9]{{10}}\b", r"\1", done.stdout)

    def order(one: Object) -> tuple[str, str]:
        return one["kind"], one["metadata"]["name"]

    built = sorted(yaml.safe_load_all(text), key=order)
    for one in (one for one in built if one["kind"] == "Secret"):  # kustomize breaks their lines
        one["data"] = {name: "".join(value.split()) for name, value in one["data"].items()}
    assert built == sorted(objects, key=order)


def test_every_pod_is_restricted(objects: list[Object]) -> None:
    assert {container["name"]: list(faults(one)) for one in pods(objects) for container in one["containers"]} == {
        "memrouter": [],
        "valkey": [],
    }


def test_a_pod_that_is_not_restricted_would_be_noticed() -> None:
    loose = {"containers": [{"name": "x", "image": "x:latest", "resources": {}}], "hostNetwork": True}
    assert len(list(faults(loose))) == 10


def test_whatever_a_pod_mounts_is_there(objects: list[Object]) -> None:
    for one in pods(objects):
        made = {volume["name"] for volume in one["volumes"]} | {"data"}
        for container in one["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= made
        for volume in one["volumes"]:
            if "configMap" in volume:
                assert pick(objects, "ConfigMap", volume["configMap"]["name"])
            if "secret" in volume:
                assert pick(objects, "Secret", volume["secret"]["secretName"])


def test_selectors_find_their_pods(objects: list[Object]) -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in objects if "template" in one.get("spec", {})]
    for kind in ("Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
        for one in (one for one in objects if one["kind"] == kind):
            selector = one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector).items()
            assert sum(wanted <= some.items() for some in labels) == 1, one["metadata"]["name"]


def test_the_configuration_loads_with_the_secrets_that_are_mounted(folder: Path, objects: list[Object]) -> None:
    text = pick(objects, "ConfigMap", "memrouter-config")["data"]["router.yaml"]
    secrets = folder / "secrets"
    (folder / "checked.yaml").write_text(text.replace("/run/secrets", str(secrets)))
    loaded = load_settings(folder / "checked.yaml", env={})
    assert loaded.warnings == ()
    named = set(re.findall(r"/run/secrets/(\w+)", text))
    assert named <= set(pick(objects, "Secret", "memrouter-secrets")["data"])
    valkey = loaded.settings.global_.stores.memory.valkey
    assert valkey is not None
    assert valkey.host == pick(objects, "Service", "valkey-memory")["metadata"]["name"]
    assert loaded.settings.global_.auth.mode == "api_key"
    container = pod(pick(objects, "Deployment"))["containers"][0]
    assert loaded.settings.listeners[0].port == container["ports"][0]["containerPort"]


def test_a_pod_that_stops_has_time_to_finish(objects: list[Object]) -> None:
    spec = pod(pick(objects, "Deployment"))
    before = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    default = load_settings(DEPLOY / "docker" / "router.yaml", env={"MEMROUTER_UPSTREAM": "http://127.0.0.1:9/v1"})
    assert before + default.settings.global_.server.shutdown_seconds + 10 <= spec["terminationGracePeriodSeconds"]


def test_no_optional_part_takes_a_router_out_of_service(objects: list[Object]) -> None:
    container = pod(pick(objects, "Deployment"))["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"  # asks nobody else
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"  # fails for a stopping router alone
    assert container["readinessProbe"]["timeoutSeconds"] > CHECK_TIMEOUT_SECONDS


def rules(policy: Object, direction: str) -> list[tuple[Any, list[int]]]:
    side = {"ingress": "from", "egress": "to"}[direction]
    return [(rule[side], [port["port"] for port in rule["ports"]]) for rule in policy["spec"][direction]]


def test_nothing_is_let_through_that_is_not_named(objects: list[Object]) -> None:
    policy = pick(objects, "NetworkPolicy", "default-deny")["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_routers_reach_valkey_and_nobody_else_does(objects: list[Object]) -> None:
    router = {"podSelector": pick(objects, "NetworkPolicy", "memrouter")["spec"]["podSelector"]}
    valkey = {"podSelector": pick(objects, "NetworkPolicy", "valkey-memory")["spec"]["podSelector"]}
    assert ([valkey], [VALKEY_PORT]) in rules(pick(objects, "NetworkPolicy", "memrouter"), "egress")
    incoming = rules(pick(objects, "NetworkPolicy", "valkey-memory"), "ingress")
    assert [who for who, _ in incoming] == [[router], [valkey]]
    assert incoming[0][1] == [VALKEY_PORT]


def test_nodes_of_a_cluster_reach_each_other_as_search_needs(objects: list[Object]) -> None:
    policy = pick(objects, "NetworkPolicy", "valkey-memory")
    valkey = {"podSelector": policy["spec"]["podSelector"]}
    ports = [VALKEY_PORT, VALKEY_PORT + CLUSTER_BUS_OFFSET, VALKEY_PORT + COORDINATOR_OFFSET]
    assert ([valkey], ports) in rules(policy, "ingress")
    assert ([valkey], ports) in rules(policy, "egress")


def test_the_autoscaler_owns_the_number_of_routers(objects: list[Object]) -> None:
    assert "replicas" not in pick(objects, "Deployment")["spec"]
    target = pick(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target["name"] == pick(objects, "Deployment")["metadata"]["name"]


def test_valkey_leaves_room_for_copies_of_what_changes(objects: list[Object]) -> None:
    text = pick(objects, "ConfigMap", "valkey-files")["data"]["valkey.conf"]
    (megabytes,) = re.findall(r"^maxmemory (\d+)mb$", text, re.MULTILINE)
    assert pod(pick(objects, "StatefulSet"))["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    assert 0.5 <= int(megabytes) / 1024 <= 0.65

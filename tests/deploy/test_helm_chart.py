"""deploy/helm renders what deploy/kubernetes says, and what its values ask for."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from memrouter.config.load import load_settings

from .charts import Chart
from .go_template import TemplateError
from .kubernetes_schemas import VERSIONS, validate
from .manifests import Object, build, pick, pod, pods
from .places import DEPLOY, kubernetes_folder, make_secrets
from .pod_security import faults

FOLDER = DEPLOY / "helm" / "memrouter"
CHART = Chart(FOLDER)
OWN_KINDS = {"ServiceMonitor", "PrometheusRule"}  # of Prometheus Operator, whose schemas are not at hand
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "sqlite": {"store": {"backend": "sqlite", "sqlite": {"storageClass": "fast"}}, "replicas": 1},
    "milvus": {
        "store": {"backend": "milvus", "milvus": {"address": "milvus.db:19530"}},
        "autoscaling": {"enabled": False},
        "ingress": {
            "enabled": True, "host": "m.example.org", "tlsSecret": "t", "className": "nginx", "annotations": {"a": "b"},
        },
    },
    "external": {
        "valkey": {"enabled": False, "external": {"host": "v.example.org", "port": 6380, "cluster": True, "tls": True}},
        "secrets": {"existingSecret": "mine"},
        "extraEnv": [{"name": "A", "value": "1"}],
        "podAnnotations": {"x": "y"},
        "podLabels": {"p": "q"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "nodeSelector": {"n": "o"},
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
        "networkPolicy": {"internet": False, "modelPorts": [], "extraEgress": [{"to": [{"podSelector": {}}]}]},
    },
    "observed": {
        "valkey": {
            "persistence": {"enabled": False},
            "existingSecret": "mine",
            "image": {"digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
            "tolerations": [{"key": "k"}],
            "nodeSelector": {"a": "b"},
            "affinity": {"podAffinity": {}},
        },
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"r": "s"}},
            "prometheusRule": {"enabled": True, "labels": {"t": "u"}},
        },
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "extraVolumes": [{"name": "v", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
        "service": {"port": 80, "annotations": {"c": "d"}},
        "image": {"pullPolicy": "Always", "tag": "0.2.0"},
    },
    "overridden": {
        "fullnameOverride": "full",
        "config": {"global": {"auth": {"mode": "trusted_header"}, "server": {"shutdown_seconds": 10}}},
        "secrets": {"upstreamKey": "sk-1", "valkeyPassword": "a password"},
        "valkey": {"enabled": False, "external": {"host": "v", "username": ""}},
    },
}  # fmt: skip


@lru_cache
def rendered(name: str) -> list[Object]:
    """Return the objects for one of the sets of values; nobody changes them."""
    return CHART.objects(VALUES[name], release="prod", namespace="ns")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", VALUES)
def test_every_object_is_valid(name: str, version: str) -> None:
    assert len(rendered(name)) >= 6
    for one in rendered(name):
        if one["kind"] not in OWN_KINDS:
            validate(one, version)


@pytest.mark.parametrize("name", VALUES)
def test_every_pod_is_restricted(name: str) -> None:
    for one in pods(rendered(name)):
        assert list(faults(one)) == []


@pytest.mark.parametrize("name", VALUES)
def test_no_two_objects_are_the_same_and_all_bear_the_release(name: str) -> None:
    objects = rendered(name)
    known = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(known) == len(set(known))
    assert {one["metadata"]["labels"]["app.kubernetes.io/instance"] for one in objects} == {"prod"}


@pytest.mark.parametrize("name", VALUES)
def test_the_configuration_loads_with_the_secrets_that_are_mounted(name: str, tmp_path: Path) -> None:
    objects = rendered(name)
    text = next(one["data"]["router.yaml"] for one in objects if "router.yaml" in one.get("data", {}))
    make_secrets(tmp_path / "secrets")
    (tmp_path / "router.yaml").write_text(text.replace("/run/secrets", str(tmp_path / "secrets")))
    loaded = load_settings(tmp_path / "router.yaml", env={})
    assert loaded.warnings == ()
    memory = loaded.settings.global_.stores.memory
    assert memory.backend == VALUES[name].get("store", {}).get("backend", "valkey")
    (secrets,) = (
        one["projected"]["sources"] for one in pod(pick(objects, "Deployment"))["volumes"] if one["name"] == "secrets"
    )
    mounted = {item["path"] for source in secrets for item in source["secret"]["items"]}
    assert set(re.findall(r"/run/secrets/(\w+)", text)) == mounted


def test_an_external_valkey_is_used_as_described() -> None:
    text = CHART.render(VALUES["external"])["templates/config.yaml"]
    memory = yaml.safe_load(yaml.safe_load(text)["data"]["router.yaml"])["global"]["stores"]["memory"]
    assert memory["valkey"] == {
        "host": "v.example.org", "port": 6380, "username": "memrouter", "cluster": True, "tls_enabled": True,
        "password_file": "/run/secrets/valkey_password", "timeout": 2,
    }  # fmt: skip


def test_the_ingress_publishes_what_is_asked_for_and_no_more() -> None:
    def paths_of(changes: Mapping[str, Any]) -> list[str]:
        (rule,) = pick(CHART.objects({"ingress": {"enabled": True, "host": "m", **changes}}), "Ingress")["spec"][
            "rules"
        ]
        return [path["path"] for path in rule["http"]["paths"]]

    assert paths_of({}) == ["/v1"]
    assert paths_of({"paths": ["/v1", "/ui"]}) == ["/v1", "/ui"]


def test_what_the_user_configures_wins() -> None:
    text = CHART.render(VALUES["overridden"])["templates/config.yaml"]
    config = yaml.safe_load(yaml.safe_load(text)["data"]["router.yaml"])
    assert config["global"]["auth"] == {"mode": "trusted_header"}
    assert config["global"]["server"] == {"shutdown_seconds": 10}
    assert config["listeners"] == [{"name": "http", "address": "0.0.0.0", "port": 8888}]  # noqa: S104 - in a pod


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": {"backend": "sqlite"}}, "set replicas to 1"),
        ({"store": {"backend": "milvus"}}, "store.milvus.address is needed"),
        ({"valkey": {"enabled": False}}, "valkey.external.host is needed"),
        ({"ingress": {"enabled": True}}, "ingress.host is needed"),
    ],
)
def test_values_that_do_not_work_are_refused_with_the_way_out(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        CHART.render(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"replica": 2}, {"store": {"backend": "redis"}}, {"image": {"digest": "abc"}}, {"replicas": "two"},
        {"valkey": {"maxmemory": "60%"}}, {"store": {"milvus": {"address": "milvus"}}}, {"service": {"port": 0}},
        {"networkPolicy": {"modelPorts": ["http"]}}, {"valkey": {"persistence": {"appendfsync": "no"}}},
    ],
)  # fmt: skip
def test_the_schema_refuses_values_that_mean_nothing(changes: Mapping[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        CHART.values(changes)


def test_the_schema_describes_every_value_and_no_other() -> None:
    schema = json.loads((FOLDER / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    assert described(schema) - {"global"} == set(paths(yaml.safe_load((FOLDER / "values.yaml").read_text()), schema))


def described(schema: Mapping[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            found |= described(inner, f"{prefix}{name}.")
        else:
            assert inner["description"].endswith("."), name
            found.add(prefix + name)
    return found


def paths(values: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        inner = schema["properties"][name]
        found += paths(value, inner, f"{prefix}{name}.") if "properties" in inner else [prefix + name]
    return found


def test_passwords_are_in_secrets_alone() -> None:
    texts = CHART.render(VALUES["overridden"])
    assert [name for name, text in texts.items() if "sk-1" in text or "a password" in text] == []
    objects = CHART.objects(VALUES["default"])
    made = pick(objects, "Secret", "memrouter-valkey-auth")
    assert set(made["data"]) == {"valkey_password", "valkey_admin_password"}
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_change_of_the_configuration_replaces_the_pods() -> None:
    def annotations(changes: Mapping[str, Any]) -> object:
        return pick(CHART.objects(changes), "Deployment")["spec"]["template"]["metadata"]["annotations"]

    assert annotations({}) == annotations({"service": {"port": 80}})
    assert annotations({}) != annotations({"config": {"global": {"server": {"log_level": "debug"}}}})


def test_the_rules_of_the_monitoring_are_installed() -> None:
    files = sorted((DEPLOY / "monitoring" / "prometheus" / "rules").glob("*.yml"))
    made = [one for one in CHART.objects(VALUES["observed"]) if one["kind"] == "PrometheusRule"]
    assert [one["spec"] for one in made] == [yaml.safe_load(file.read_text()) for file in files]
    assert files


def test_the_test_of_the_release_asks_through_the_service() -> None:
    objects = CHART.objects(VALUES["observed"], release="prod")
    test = pick(objects, "Pod")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert test["spec"]["containers"][0]["args"] == ["health", "--url", "http://prod-memrouter:80"]


def test_the_notes_name_commands_for_this_release_and_warn() -> None:
    notes = CHART.render(VALUES["observed"], release="prod", namespace="ns")["templates/NOTES.txt"]
    assert "kubectl --namespace ns exec deploy/prod-memrouter -- memrouter keys create" in notes
    assert "WARNING: valkey.persistence.enabled is false" in notes
    assert "WARNING" not in CHART.render({})["templates/NOTES.txt"]


def test_versions_are_those_of_the_package() -> None:
    from memrouter import __version__

    about = yaml.safe_load((FOLDER / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (__version__, __version__)


def test_the_chart_and_the_plain_manifests_say_the_same(tmp_path: Path) -> None:
    """They may differ in names, labels and selectors, in how secrets are cut, and in who sets maxmemory."""
    plain, chart = build(kubernetes_folder(tmp_path)), CHART.objects()
    names = {"memrouter-valkey": "valkey-memory"}
    compared = [
        ("Deployment", "memrouter"), ("Service", "memrouter"), ("ServiceAccount", "memrouter"),
        ("PodDisruptionBudget", "memrouter"), ("HorizontalPodAutoscaler", "memrouter"), ("NetworkPolicy", "memrouter"),
        ("StatefulSet", "memrouter-valkey"), ("Service", "memrouter-valkey"),
        ("PodDisruptionBudget", "memrouter-valkey"), ("NetworkPolicy", "memrouter-valkey"),
    ]  # fmt: skip
    for kind, name in compared:
        ours, theirs = pick(chart, kind, name), pick(plain, kind, names.get(name, name))
        assert without_names(ours) == without_names(theirs), f"{kind} {name}"
    files = {one["metadata"]["name"]: one["data"] for one in [*plain, *chart] if one["kind"] == "ConfigMap"}
    assert strip(files["memrouter-valkey-files"]) == strip(files["valkey-files"])
    left_out = {one["kind"] for one in plain} - {one["kind"] for one in chart}
    assert left_out == {"Namespace"}


def strip(data: Mapping[str, str]) -> dict[str, str]:
    return {name: text.strip() for name, text in data.items()}


_NAMES = {"metadata", "matchLabels", "selector", "serviceName", "serviceAccountName"}


def without_names(value: Any) -> Any:
    match value:
        case {"name": "secrets"} if "mountPath" not in value:
            return "the volume with secrets"
        case {"configMap": _}:
            return "a volume with a configuration"
        case {"kind": "Deployment", "name": _}:
            return "the Deployment"
        case dict():
            return {key: without_names(inner) for key, inner in value.items() if key not in _NAMES}
        case ["--maxmemory", _, *rest]:
            return rest
        case list():
            return [without_names(inner) for inner in value]
    return value


def test_a_difference_between_the_two_would_be_noticed(tmp_path: Path) -> None:
    plain = build(kubernetes_folder(tmp_path))
    deployment: Object = pick(plain, "Deployment")
    before = without_names(deployment)
    pod(deployment)["containers"][0]["readinessProbe"]["timeoutSeconds"] = 1
    assert without_names(deployment) != before

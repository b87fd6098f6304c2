"""Builds kustomizations as `kubectl kustomize` does, as far as those of deploy/ go, for machines without kubectl."""

import base64
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
_KNOWN = {
    "apiVersion", "kind", "namespace", "labels", "resources", "images", "configMapGenerator", "secretGenerator",
}  # fmt: skip
_CLUSTER_WIDE = {"Namespace"}


def build(folder: Path) -> list[Object]:
    """Return the objects of a kustomization; names of generated ones are without the digest that kustomize adds.

    Raises:
        KeyError: The kustomization uses what this does not know.
    """
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(said) - _KNOWN:
        raise KeyError(f"{folder} uses {unknown}")
    objects = [found for name in said.get("resources", []) for found in _resource(folder / name)]
    objects += [_config_map(folder, made) for made in said.get("configMapGenerator", [])]
    objects += [_secret(folder, made) for made in said.get("secretGenerator", [])]
    for found in objects:
        if "namespace" in said and found["kind"] not in _CLUSTER_WIDE:
            found["metadata"]["namespace"] = said["namespace"]
        for labels in said.get("labels", []):
            found["metadata"].setdefault("labels", {}).update(labels["pairs"])
        for image in said.get("images", []):
            _rename(found, image["name"], f"{image['newName']}:{image['newTag']}")
    return objects


def pick(objects: list[Object], kind: str, name: str = "") -> Object:
    """Return the one object of a kind, or of a kind and a name."""
    (found,) = (one for one in objects if one["kind"] == kind and name in ("", one["metadata"]["name"]))
    return found


def pod(owner: Object) -> Object:
    """Return the pod's specification of a Deployment, StatefulSet or Pod."""
    spec: Object = owner["spec"]["template"]["spec"] if "template" in owner["spec"] else owner["spec"]
    return spec


def pods(objects: list[Object]) -> list[Object]:
    """Return the specifications of all pods."""
    return [pod(one) for one in objects if one["kind"] in ("Deployment", "StatefulSet", "Pod")]


def _resource(path: Path) -> list[Object]:
    return build(path) if path.is_dir() else [one for one in yaml.safe_load_all(path.read_text()) if one]


def _config_map(folder: Path, made: Object) -> Object:
    data = {Path(name).name: (folder / name).read_text() for name in made["files"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data}


def _secret(folder: Path, made: Object) -> Object:
    data = {Path(name).name: base64.b64encode((folder / name).read_bytes()).decode() for name in made["files"]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": made["name"]}, "type": "Opaque", "data": data}


def _rename(found: Object, name: str, image: str) -> None:
    for one in pods([found]):
        for container in one["containers"]:
            if container["image"].partition(":")[0] == name:
                container["image"] = image

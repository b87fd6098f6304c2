"""The strict schemas of the package kubernetes-validate, read once: its own function reads them for every object."""

import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from .manifests import Object

VERSIONS = ("1.27", "1.30", "1.33", "1.37")
"""The oldest that the chart allows, two between, and the newest whose schemas are at hand."""


def validate(one: Object, version: str) -> None:
    """Check an object against a version of Kubernetes, such as 1.33.

    Raises:
        jsonschema.ValidationError: It does not fit; fields that are not known do not, either.
        FileNotFoundError: That version has no such kind.
    """
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", one["apiVersion"])
    _validator(version, f"{one['kind'].lower()}-{group}").validate(one)


@lru_cache
def _validator(version: str, name: str) -> Draft202012Validator:
    schema = _read(version, name)
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions(version))


@lru_cache
def _definitions(version: str) -> Registry[Any]:
    empty: Registry[Any] = Registry()
    return Resource.from_contents(_read(version, "_definitions")) @ empty


def _read(version: str, name: str) -> Any:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

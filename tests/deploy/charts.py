"""Renders the Helm chart as `helm template` does, with what of Helm's and sprig's functions it uses."""

import base64
import copy
import fnmatch
import hashlib
import json
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from .go_template import Node, Renderer, TemplateError, parse


@dataclass(frozen=True)
class Files:
    """``.Files``: what the chart carries beside its templates."""

    folder: Path

    def Get(self, name: str) -> str:  # noqa: N802 - Helm's name
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def Glob(self, pattern: str) -> dict[str, str]:  # noqa: N802 - Helm's name
        parent = self.folder / posixpath.dirname(pattern)
        names = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
        found = [posixpath.join(posixpath.dirname(pattern), name) for name in names]
        return {name: self.Get(name) for name in found if fnmatch.fnmatchcase(name, pattern)}


@dataclass
class Chart:
    """A chart in a folder."""

    folder: Path
    defined: dict[str, list[Node]] = field(default_factory=dict)

    def values(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the chart's values with changes laid over them, checked against its schema.

        Raises:
            jsonschema.ValidationError: They do not fit.
        """
        values: dict[str, Any] = yaml.safe_load((self.folder / "values.yaml").read_text())
        values = overlay(values, changes)
        jsonschema.Draft7Validator(json.loads((self.folder / "values.schema.json").read_text())).validate(values)
        return values

    def render(
        self, changes: Mapping[str, Any], *, release: str = "memrouter", namespace: str = "memrouter"
    ) -> dict[str, str]:
        """Return the text of every template by its name.

        Raises:
            TemplateError: A template fails, be it on purpose.
        """
        about = yaml.safe_load((self.folder / "Chart.yaml").read_text())
        data = {
            "Values": self.values(changes),
            "Chart": {"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
            "Release": {"Name": release, "Namespace": namespace, "Service": "Helm"},
            "Files": Files(self.folder),
        }
        renderer = Renderer(FUNCTIONS, self.defined)
        names = sorted(path for path in (self.folder / "templates").rglob("*") if path.is_file())
        parsed = {str(path.relative_to(self.folder)): parse(path.read_text(encoding="utf-8")) for path in names}
        for name, nodes in parsed.items():  # helpers are known to all, whatever the order
            if posixpath.basename(name).startswith("_"):
                renderer.render(nodes, data)
        shown = {name: nodes for name, nodes in parsed.items() if not posixpath.basename(name).startswith("_")}
        return {name: renderer.render(nodes, data) for name, nodes in shown.items()}

    def objects(self, changes: Mapping[str, Any] | None = None, **release: str) -> list[dict[str, Any]]:
        """Return the Kubernetes objects of the rendered chart."""
        texts = self.render(changes or {}, **release)
        documents = [yaml.safe_load_all(text) for name, text in texts.items() if name.endswith(".yaml")]
        return [found for several in documents for found in several if found is not None]


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with others laid over them, as Helm does: mappings are merged, all else is replaced."""
    merged = copy.deepcopy(dict(base))
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = overlay(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _to_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=False, sort_keys=True, width=10**6).removesuffix("\n")


def _indent(width: int, text: str) -> str:
    return "\n".join(" " * width + line for line in text.split("\n"))


def _fail(message: str) -> str:
    raise TemplateError(message)


def _required(message: str, value: Any) -> Any:
    return _fail(message) if value is None or value == "" else value


def _dict(*pairs: Any) -> dict[str, Any]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _and(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": _and,
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "base": posixpath.basename,
    "contains": lambda part, text: part in text,
    "deepCopy": copy.deepcopy,
    "default": lambda otherwise, value=None: value or otherwise,
    "dict": _dict,
    "eq": lambda value, *others: value in others,
    "fail": _fail,
    "fromYaml": yaml.safe_load,
    "get": lambda values, key: values.get(key, ""),
    "gt": lambda left, right: left > right,
    "int": int,
    "last": lambda values: values[-1],
    "list": lambda *values: list(values),
    "lookup": lambda *_: {},
    "mustMerge": lambda kept, *others: overlay(others[0], kept) if len(others) == 1 else _fail("one at a time"),
    "ne": lambda left, right: left != right,
    "nindent": lambda width, text: "\n" + _indent(width, text),
    "not": lambda value: not value,
    "or": _or,
    "printf": lambda form, *values: form % values,
    "quote": lambda value: json.dumps(str(value), ensure_ascii=False),
    "randAlphaNum": lambda length: "r" * length,
    "replace": lambda old, new, text: text.replace(old, new),
    "required": _required,
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "splitList": lambda mark, text: text.split(mark),
    "toYaml": _to_yaml,
    "trimSuffix": lambda end, text: text.removesuffix(end),
    "trunc": lambda length, text: text[:length],
}

"""Faults in words: file, line, key, what was found, what is allowed and the way out, secrets hidden."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from memrouter.config.findings import Finding, did_you_mean
from memrouter.config.paths import KeyPath, dotted, value_at
from memrouter.config.pruning import Pruned
from memrouter.config.shape import Shape
from memrouter.config.source import Source
from memrouter.errors import ConfigProblem

MAX_PROBLEMS = 100

_LONGEST_SHOWN = 60
_SECRET_KEY = re.compile(
    r"(password|passwd|passphrase|secret|token|api_?key|authorization|credentials?)$", re.IGNORECASE
)
_SECRET_PARENTS = ("extra_headers", "set", "add", "update")
_CREDENTIALS = re.compile(r"//[^/\s]*@")


def is_secret(path: KeyPath, shape: Shape | None) -> bool:
    """Return whether the value at ``path`` must not be shown."""
    keys = [part for part in path if isinstance(part, str)]
    if shape is not None and shape.is_secret:
        return True
    return any(_SECRET_KEY.search(key) for key in keys) or any(key in _SECRET_PARENTS for key in keys[:-1])


def shape_at(root: Shape, data: object, path: KeyPath) -> Shape | None:
    """Return what the schema says about ``path``, or None where it knows nothing."""
    shape: Shape | None = root
    for index, part in enumerate(path):
        shape = shape.child(part, value_at(data, path[:index])) if shape is not None else None
    return shape


class Describer:
    """Turns findings into problems.

    Args:
        source: What was written.
        root: The shape of the whole.
    """

    def __init__(self, source: Source, root: Shape) -> None:
        self._source = source
        self._root = root

    def problems(self, findings: Sequence[Finding]) -> list[ConfigProblem]:
        """Return one problem for each path, in the order of the file; past 100 a last one counts the rest."""
        first = {self._place(finding): finding for finding in reversed(findings)}
        placed = sorted(first.items(), key=lambda item: item[0])
        problems = [self._problem(finding) for _, finding in placed[:MAX_PROBLEMS]]
        if len(placed) > MAX_PROBLEMS:
            found = f"{len(placed) - MAX_PROBLEMS} more problems"
            problems.append(ConfigProblem(self._source.file, None, "", found, "none", "Mend those above first."))
        return problems

    def _place(self, finding: Finding) -> tuple[bool, int, str]:
        file, line = self._source.place(finding.path)
        return file != self._source.file, finding.line or line or 0, dotted(finding.path)

    def _problem(self, finding: Finding) -> ConfigProblem:
        file, line = self._source.place(finding.path)
        return ConfigProblem(
            file=file,
            line=finding.line or line,
            key=dotted(finding.path),
            found=finding.found or self._shown(finding.path),
            allowed=finding.allowed,
            hint=finding.hint,
        )

    def _shown(self, path: KeyPath) -> str:
        value = value_at(self._source.data, path)
        if value is not None and is_secret(path, shape_at(self._root, self._source.data, path)):
            return "(secret)"
        if path in self._source.filled:
            return f"{shorten(self._source.filled[path])}, filled in"
        return shorten(value)


def shorten(value: object) -> str:
    """Return a value for a message: strings quoted and cut, control characters escaped, mappings only named."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, (dict, list)):
        return f"{'a' if value else 'an empty'} {'mapping' if isinstance(value, dict) else 'list'}"
    if isinstance(value, str):
        text = _CREDENTIALS.sub("//**********@", value[: 10 * _LONGEST_SHOWN])
        return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def validation_findings(error: ValidationError, pruned: Pruned, root: Shape) -> list[Finding]:
    """Return what pydantic objects to, at paths of the data before pruning."""
    findings = []
    for detail in error.errors(include_url=False):
        path, shape = _locate(detail["loc"], pruned.data, root)
        if detail["type"] == "too_short" and value_at(pruned.data, path):
            continue  # it has items: pydantic does not count those that it objects to
        finding = _finding(detail, path, shape, pruned.data, root)
        findings.append(Finding(pruned.former(finding.path), finding.allowed, finding.found, finding.hint))
    return findings


def _locate(loc: tuple[str | int, ...], data: object, root: Shape) -> tuple[KeyPath, Shape | None]:
    """Return the path of a pydantic location, which also names the chosen form of a union, and its shape."""
    path: KeyPath = ()
    shape: Shape | None = root
    for part in loc:
        if shape is not None and part in shape.tags:
            shape = shape.variant({"type": part})
        else:
            shape = shape.child(part, value_at(data, path)) if shape is not None else None
            path = (*path, part)
    return path, shape


def _finding(detail: Any, path: KeyPath, shape: Shape | None, data: object, root: Shape) -> Finding:
    match detail["type"]:
        case "extra_forbidden":
            parent = shape_at(root, data, path[:-1])
            known = parent.variant(value_at(data, path[:-1])).keys if parent is not None else ()
            return Finding(path, ", ".join(known), "an unknown key", did_you_mean(path[-1], known))
        case "union_tag_invalid" | "union_tag_not_found" if shape is not None:
            tag = value_at(data, (*path, "type"))
            return Finding((*path, "type"), " | ".join(shape.tags), hint=did_you_mean(tag, shape.tags))
        case "value_error":
            return Finding(path, str(detail["ctx"]["error"]), _keys_found(value_at(data, path), shape))
    allowed = shape.describe() if shape is not None else str(detail["msg"])
    return Finding(path, allowed, hint=_hint(detail["type"], value_at(data, path), shape))


def _keys_found(value: object, shape: Shape | None) -> str:
    if not isinstance(value, dict) or shape is None:
        return ""
    return f"a mapping with {', '.join(key for key in shape.variant(value).keys if key in value) or 'none of its keys'}"


def _hint(kind: str, value: object, shape: Shape | None) -> str:
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return "Put the value in quotes."
    return did_you_mean(value, shape.words) if shape is not None else ""

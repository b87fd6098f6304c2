"""Compose files laid over each other, as `docker compose` does, as far as those of deploy/ go."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from .places import DEPLOY

FOLDER = DEPLOY / "compose"
_REPLACED = {"command", "entrypoint", "test"}
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


def project(*files: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return compose files as one, with their variables replaced.

    Raises:
        KeyError: A variable is not set and has no default.
    """
    merged: dict[str, Any] = {}
    for name in files or ("compose.yaml",):
        merged = _merge(merged, yaml.safe_load((FOLDER / name).read_text()))
    filled: dict[str, Any] = _fill({key: value for key, value in merged.items() if not key.startswith("x-")}, env or {})
    return filled


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        elif isinstance(value, list) and isinstance(merged.get(key), list) and key not in _REPLACED:
            merged[key] = [*merged[key], *value]
        else:
            merged[key] = value
    return merged


def _fill(value: Any, env: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _VARIABLE.sub(lambda found: _variable(found, env), value)
        case dict():
            return {key: _fill(inner, env) for key, inner in value.items()}
        case list():
            return [_fill(inner, env) for inner in value]
    return value


def _variable(found: re.Match[str], env: Mapping[str, str]) -> str:
    if found["name"] is None:
        return "$"
    default: str | None = found["default"]
    return env.get(found["name"]) or (env[found["name"]] if default is None else default)

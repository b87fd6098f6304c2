"""Settings as text, secrets hidden."""

import re
from typing import Any

import yaml

from memrouter.config.settings import Settings

_HIDDEN = "**********"
_SECRET_HEADER = re.compile(r"auth|cookie|key|token|secret|password", re.IGNORECASE)
_CREDENTIALS = re.compile(r"//[^/\s]*@")


def settings_tree(settings: Settings) -> dict[str, Any]:
    """Return the whole tree, defaults included; passwords, keys and headers named like them are hidden."""
    tree: dict[str, Any] = _hide(settings.model_dump(mode="json", by_alias=True))
    return tree


def settings_yaml(settings: Settings) -> str:
    """Return ``settings_tree`` as YAML."""
    return str(yaml.safe_dump(settings_tree(settings), sort_keys=False, allow_unicode=True, width=float("inf")))


def _hide(value: Any, key: str = "") -> Any:
    if isinstance(value, dict) and key == "extra_headers":
        return {name: _HIDDEN if _SECRET_HEADER.search(name) else item for name, item in value.items()}
    if isinstance(value, dict):
        return {name: _hide(item, name) for name, item in value.items()}
    if isinstance(value, list) and key in ("set", "add", "update"):
        return [_hide_pair(pair) for pair in value]
    if isinstance(value, list):
        return [_hide(item) for item in value]
    return _CREDENTIALS.sub(f"//{_HIDDEN}@", value) if isinstance(value, str) else value


def _hide_pair(pair: dict[str, str]) -> dict[str, str]:
    return {**pair, "value": _HIDDEN} if _SECRET_HEADER.search(pair["name"]) else pair

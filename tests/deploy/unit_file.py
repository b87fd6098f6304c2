"""Reads systemd unit files."""

from pathlib import Path

Unit = dict[str, dict[str, list[str]]]


def unit(path: Path) -> Unit:
    """Return the sections of a unit; every key has all of its values, in their order."""
    found: Unit = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found

"""Sizes as people write them, in Kubernetes' and in Valkey's form. Pure."""

import re
from typing import Final

from memrouter.errors import InvalidRequest

_UNITS: Final = {
    "": 1, "b": 1,
    "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40,
    "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip
"""``k`` is 1,000 and ``kb`` 1,024 as in Valkey's configuration; ``Ki`` is 1,024 as in Kubernetes."""

_MAX_BYTES: Final = 1 << 60


def parse_bytes(text: str, *, name: str) -> int:
    """Return the bytes behind a text such as ``4Gi``, ``512mb`` or ``1500000``.

    Args:
        text: A number, and a unit in either case.
        name: Of the option, for the error.

    Raises:
        InvalidRequest: It is none, or not between 1 byte and 2 to the power of 60.
    """
    found = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})\s*", text, re.ASCII)
    unit = None if found is None else _UNITS.get(found[2].lower())
    size = 0 if found is None or unit is None else int(float(found[1]) * unit)
    if not 0 < size <= _MAX_BYTES:
        raise InvalidRequest(f"{name} is {text!r}; it must be a size such as 4Gi, 512Mi or 1500000", param=name)
    return size


def shown(size: float) -> str:
    """Return a size for people."""
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(size) >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def kubernetes(size: int) -> str:
    """Return a size for a pod's resources, in whole Mi."""
    return f"{-(-size // (1 << 20))}Mi"


def setting(size: int) -> str:
    """Return a size for ``maxmemory``."""
    return f"{-(-size // (1 << 20))}mb"

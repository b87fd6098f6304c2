"""What every section of the configuration shares."""

import re
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Section(BaseModel):
    """A mapping that memrouter owns: unknown keys are errors.

    Attributes:
        foreign_keys: Keys of the same mapping in the Go router's configuration that mean nothing here; they are
            accepted and listed in one warning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
    foreign_keys: ClassVar[frozenset[str]] = frozenset()


def parse_seconds(value: object) -> object:
    """Return seconds for ``300s``, ``1h``, ``250ms`` or a bare number; anything else unchanged for the type check."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            msg = "a duration such as 300s, 5m, 1h, 250ms, or a number of seconds"
            raise ValueError(msg)
        return float(match["number"]) * _SECONDS[match["unit"] or "s"]
    return value


Seconds = Annotated[float, BeforeValidator(parse_seconds)]
"""A duration in seconds; in a file also ``300s``, ``5m``, ``1h``, ``250ms``."""

Secret = SecretStr
"""A value that no message, log or ``config show`` prints."""

"""A small file beside a big one that says how far the work on it is. Blocking: call it in a thread."""

import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class SideFile(Generic[T]):
    """Keeps one value, always whole: a new one takes the old one's place in a single step.

    Args:
        path: The file.
        kind: Type of the value.
    """

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._kind = kind

    def read(self) -> T | None:
        """Return the value; None where there is none, or none that can be understood."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=self._kind)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def write(self, value: T) -> None:
        """Put ``value`` in the place of what is there."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        fresh.write_bytes(msgspec.json.encode(value))
        os.replace(fresh, self.path)  # noqa: PTH105 - says what happens where the target exists

    def remove(self) -> None:
        """Remove the file; one that is not there is no error."""
        self.path.unlink(missing_ok=True)

"""Files that exports go into and imports come from. Blocking."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final, Self

CHUNK_BYTES: Final = 65_536


class PartFile:
    """A file beside the one that it is to become; readable by its owner alone.

    Args:
        file: Open for writing.
        target: What it is to become.
    """

    def __init__(self, file: IO[bytes], target: Path) -> None:
        self._file = file
        self._target = target

    @classmethod
    def open(cls, target: Path) -> Self:
        """Return a new file in the folder of ``target``."""
        file = NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False)  # noqa: SIM115 - closed by close
        return cls(file, target)

    def write(self, data: bytes) -> None:
        """Write on."""
        self._file.write(data)

    def keep(self) -> None:
        """Put it in the place of the target, once all of it is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        Path(self._file.name).replace(self._target)

    def close(self) -> None:
        """Close it; what was not kept is removed."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            Path(self._file.name).unlink()


def chunks_of(path: Path) -> Iterator[bytes]:
    """Give a file in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk

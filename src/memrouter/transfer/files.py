"""Files of the data format on disk, gzipped where the name ends in ``.gz``. Blocking: call it in a thread."""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

from memrouter.errors import InvalidRequest

CHUNK_BYTES: Final = 1 << 20
MAX_RATIO: Final = 200
"""How many times its size a gzipped file may have unpacked, once it is past ``RATIO_FROM_BYTES``."""
RATIO_FROM_BYTES: Final = 16 << 20
_LEVEL: Final = 6
_PRIVATE: Final = 0o600


def is_gzip(path: Path) -> bool:
    """Return whether a file of this name is gzipped."""
    return path.suffix == ".gz"


def chunks(source: BinaryIO, *, gzipped: bool) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked, about a mebibyte at a time.

    Raises:
        InvalidRequest: Not gzip, cut off, or unpacking to a size that no export has.
    """
    if not gzipped:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
        return
    total = 0
    for chunk in _unpacked(source):
        total += len(chunk)
        if total > max(RATIO_FROM_BYTES, MAX_RATIO * source.tell()):
            raise InvalidRequest(f"the gzip data unpacks to more than {MAX_RATIO} times its size")
        yield chunk


def _unpacked(source: BinaryIO) -> Iterator[bytes]:
    """Yield all that can be unpacked; what is wrong with the rest is told behind it."""
    chunk = bytearray()
    with gzip.GzipFile(fileobj=source) as unpacked:
        try:
            while piece := unpacked.read1(CHUNK_BYTES):
                chunk += piece
                if len(chunk) >= CHUNK_BYTES:
                    yield bytes(chunk)
                    chunk.clear()
        except (OSError, EOFError, zlib.error):
            yield bytes(chunk)
            raise InvalidRequest("the gzip data is damaged or cut off") from None
    yield bytes(chunk)


class PartFile:
    """A file that grows under another name, ``FILE.part``, and gets its own when it is complete.

    Gzipped files grow by members, so that they can be cut off and go on behind any of them.

    Args:
        path: Its name when complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self._file: BinaryIO | None = None

    def start(self) -> Self:
        """Begin with an empty file that its owner alone can read.

        Raises:
            OSError: It cannot be made.
        """
        self.part.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE), "r+b")
        return self

    def take_up(self, size: int) -> Self | None:
        """Go on behind the first ``size`` bytes; None where there are not as many."""
        if not self.part.is_file() or self.part.stat().st_size < size:
            return None
        self._file = self.part.open("r+b")
        self._file.truncate(size)
        return self

    def earlier(self) -> Iterator[bytes]:
        """Yield what is there already, unpacked; then the file stands at its end."""
        self._open.seek(0)
        yield from chunks(self._open, gzipped=is_gzip(self.path))
        self._open.seek(0, os.SEEK_END)

    def append(self, data: bytes) -> int:
        """Add bytes and hand them to the system; return the size of the file.

        Raises:
            OSError: The disk is full, or the like.
        """
        if data:
            self._open.write(gzip.compress(data, _LEVEL, mtime=0) if is_gzip(self.path) else data)
            self._open.flush()
        return self._open.tell()

    def complete(self) -> None:
        """Bring the bytes to the disk and give the file its name."""
        os.fsync(self._open.fileno())
        self.close()
        os.replace(self.part, self.path)  # noqa: PTH105 - says what happens where the target exists

    def close(self) -> None:
        """Let go of the file; calling it again does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _open(self) -> BinaryIO:
        assert self._file is not None  # noqa: S101 - start or take_up came first
        return self._file

"""Half-precision tensors out of a safetensors file, mapped instead of read."""

import mmap
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from memrouter.errors import ConfigError, ConfigProblem

_LENGTH_BYTES = 8


class _Entry(msgspec.Struct):
    dtype: Literal["F16"]
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def map_tensor(path: Path, name: str) -> NDArray[np.float16]:
    """Return a tensor, read-only. The system reads the file ahead, and keeps one copy for all processes.

    The safetensors library would copy it into memory of this process. The form of the file: 8 bytes with the length of
    a header (little-endian), the header (JSON: type, shape and place of each tensor), the tensors (little-endian).

    Args:
        path: The file.
        name: Of a float16 tensor in it.

    Raises:
        ConfigError: The file is damaged, or has no such tensor.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = _LENGTH_BYTES + int.from_bytes(mapped[:_LENGTH_BYTES], "little")
        entry = msgspec.convert(_header(mapped[_LENGTH_BYTES:start])[name], _Entry)
        mapped.madvise(mmap.MADV_WILLNEED)
        count = (entry.data_offsets[1] - entry.data_offsets[0]) // np.dtype("<f2").itemsize
        flat = np.frombuffer(mapped, dtype="<f2", count=count, offset=start + entry.data_offsets[0])
        return flat.reshape(entry.shape)
    except (OSError, ValueError, KeyError, msgspec.MsgspecError) as error:
        raise ConfigError([_damaged(path, name)]) from error


def _header(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])


def _damaged(path: Path, name: str) -> ConfigProblem:
    return ConfigProblem(
        file="<installation>",
        line=None,
        key=str(path),
        found=f"no tensor {name!r} that can be used",
        allowed="the file as published",
        hint="Install the package anew: pip install --force-reinstall --no-deps wordllama",
    )

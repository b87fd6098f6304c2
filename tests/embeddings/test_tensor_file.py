import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors import safe_open

from memrouter.embeddings.tensor_file import map_tensor
from memrouter.embeddings.tokens import bundled_file
from memrouter.errors import ConfigError


def test_the_bundled_weights_are_what_the_library_reads() -> None:
    path = bundled_file("weights", "l2_supercat_256.safetensors")
    with safe_open(str(path), framework="np") as tensors:
        assert np.array_equal(tensors.get_tensor("embedding.weight"), map_tensor(path, "embedding.weight"))


def test_what_is_mapped_cannot_be_changed() -> None:
    weights = map_tensor(bundled_file("weights", "l2_supercat_256.safetensors"), "embedding.weight")
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1


def written(path: Path, header: bytes, data: bytes = bytes(8)) -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b"not json",
        msgspec.json.encode({"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}),
        msgspec.json.encode({"t": {"dtype": "F16", "shape": [5], "data_offsets": [0, 8]}}),
        msgspec.json.encode({"t": {"dtype": "F16", "shape": [400], "data_offsets": [0, 800]}}),
    ],
)
def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(ConfigError, match="force-reinstall"):
        map_tensor(written(tmp_path / "w", header), "t")


def test_an_empty_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "absent"):
        with pytest.raises(ConfigError):
            map_tensor(tmp_path / name, "t")

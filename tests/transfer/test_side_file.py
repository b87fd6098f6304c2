"""The small file beside the big one."""

from pathlib import Path

import msgspec
import pytest

from memrouter.transfer.side_file import SideFile


class Place(msgspec.Struct):
    line: int


def test_a_value_is_read_back_until_it_is_removed(tmp_path: Path) -> None:
    side = SideFile(tmp_path / "x.state", Place)
    assert side.read() is None
    side.write(Place(1))
    side.write(Place(2))
    assert side.read() == Place(2)
    assert [path.name for path in tmp_path.iterdir()] == ["x.state"]
    side.remove()
    side.remove()
    assert side.read() is None


@pytest.mark.parametrize("junk", [b"", b"{}", b'{"line":"1"}', b"\xff", b'{"line":'])
def test_what_cannot_be_understood_is_as_good_as_nothing(tmp_path: Path, junk: bytes) -> None:
    side = SideFile(tmp_path / "x.state", Place)
    side.path.write_bytes(junk)
    assert side.read() is None

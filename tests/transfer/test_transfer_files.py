"""Plain and gzipped files."""

import gzip
import io
from pathlib import Path

import pytest

from memrouter.errors import InvalidRequest
from memrouter.transfer.files import CHUNK_BYTES, RATIO_FROM_BYTES, PartFile, chunks


def unpacked(data: bytes) -> bytes:
    return b"".join(chunks(io.BytesIO(data), gzipped=True))


def test_members_one_after_another_are_one_file() -> None:
    assert unpacked(gzip.compress(b"a\n") + gzip.compress(b"") + gzip.compress(b"b\n")) == b"a\nb\n"


@pytest.mark.parametrize(
    "data",
    [b"plain text", gzip.compress(b"x" * 1000)[:-9], gzip.compress(b"x")[:5], gzip.compress(b"x") + b"junk behind"],
    ids=["no gzip", "cut off", "cut in the header", "junk behind"],
)
def test_what_is_no_whole_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="damaged or cut off"):
        unpacked(data)


def test_a_broken_checksum_is_refused() -> None:
    data = bytearray(gzip.compress(b"hello" * 100))
    data[-6] ^= 1
    with pytest.raises(InvalidRequest, match="damaged"):
        unpacked(bytes(data))


def test_a_bomb_is_refused_while_little_of_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(4 * RATIO_FROM_BYTES))
    sizes: list[int] = []
    with pytest.raises(InvalidRequest, match="more than 200 times"):
        sizes.extend(map(len, chunks(io.BytesIO(bomb), gzipped=True)))
    assert max(sizes) < 2 * CHUNK_BYTES
    assert sum(sizes) <= RATIO_FROM_BYTES + 2 * CHUNK_BYTES


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.gz"])
def test_a_part_file_is_taken_up_behind_any_append(tmp_path: Path, name: str) -> None:
    part = PartFile(tmp_path / name).start()
    size = part.append(b"one\n")
    part.append(b"two\n")
    part.close()
    again = PartFile(tmp_path / name).take_up(size)
    assert again is not None
    assert b"".join(again.earlier()) == b"one\n"
    again.append(b"three\n")
    again.complete()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with (tmp_path / name).open("rb") as source:
        assert b"".join(chunks(source, gzipped=name.endswith(".gz"))) == b"one\nthree\n"


def test_a_part_file_that_is_shorter_than_it_was_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert PartFile(path).take_up(1) is None
    part = PartFile(path).start()
    part.append(b"one\n")
    part.close()
    assert PartFile(path).take_up(5) is None


def test_only_the_owner_can_read_what_is_written(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "out").start()
    part.complete()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600

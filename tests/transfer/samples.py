"""Files of the data format for tests, whole and broken."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from memrouter.models.memory import MemoryRecord
from memrouter.stores.base import Capabilities
from memrouter.testing.records import NOW, RecordFactory
from memrouter.transfer.format import FORMAT, VERSION, Filters, Manifest, Origin
from memrouter.transfer.intake import Intake
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.reader import MemoryReader, Read
from memrouter.transfer.seen import SeenMemories
from memrouter.transfer.writer import LineWriter

DIMENSION = 8
ABOUT = Capabilities("sqlite", DIMENSION, "test-model", exact=True)


def factory() -> RecordFactory:
    return RecordFactory(ABOUT)


def manifest(*, vectors: bool = True, count: int | None = None) -> Manifest:
    return Manifest(
        format=FORMAT,
        version=VERSION,
        embedding_model=ABOUT.embedding_model,
        dimension=DIMENSION,
        count=count,
        created=NOW,
        source=Origin(backend="sqlite", memrouter="0"),
        filters=Filters(),
        vectors=vectors,
    )


def file_of(records: Sequence[MemoryRecord], *, vectors: bool = True) -> bytes:
    """Return a whole file."""
    writer = LineWriter(manifest(vectors=vectors, count=len(records)))
    return writer.begin() + writer.page(records) + writer.end()


def objects(data: bytes) -> list[dict[str, Any]]:
    """Return the lines of a file as JSON objects."""
    return [json.loads(line) for line in data.splitlines()]


def sealed(lines: Iterable[dict[str, Any]]) -> bytes:
    """Return the lines, manifest first, with a trailer that says the truth about them."""
    body = [json.dumps(line).encode() + b"\n" for line in lines]
    digest = hashlib.sha256(b"".join(body)).hexdigest()
    trailer = {"kind": "trailer", "count": len(body) - 1, "sha256": digest}
    return b"".join([*body, json.dumps(trailer).encode() + b"\n"])


def read_all(data: bytes, *, chunk: int = 1 << 20) -> tuple[list[Read], Intake]:
    """Return what a reader makes of a file that comes in chunks, and its intake."""
    with SeenMemories() as seen:
        intake = Intake(MemoryReader(seen), LineSplitter())
        reads: list[Read] = []
        for start in range(0, len(data), chunk):
            reads += intake.take(data[start : start + chunk])
        reads += intake.end()
    return reads, intake


def memories_of(reads: Iterable[Read]) -> list[MemoryRecord]:
    return [read.record for read in reads if read.record is not None]

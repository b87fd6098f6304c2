"""Writing and reading take no more memory for many memories than for few."""

import subprocess
import sys

COMMON = """
import hashlib, resource
from msgspec.structs import replace
import numpy as np
from memrouter.models.memory import MemoryRecord, unit
from memrouter.transfer.format import FORMAT, Filters, Manifest, MemoryLine, Origin, Trailer, encode
from memrouter.transfer.intake import Intake
from memrouter.transfer.lines import LineSplitter
from memrouter.transfer.reader import MemoryReader
from memrouter.transfer.seen import SeenMemories
from memrouter.transfer.writer import LineWriter

def used():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

record = MemoryRecord("ID", "a user", "likes tea", unit(np.ones(8)), "m", 1, 1)
first = Manifest(format=FORMAT, version=1, embedding_model="m", dimension=8, count=None, created=1,
                 source=Origin(backend="b", memrouter="0"), filters=Filters(), vectors=True)
"""

READ = """
head, tail = encode(MemoryLine.of(record, vectors=True)).split(b'"ID"')
digest = hashlib.sha256(encode(first))
with SeenMemories() as seen:
    reader = MemoryReader(seen)
    intake = Intake(reader, LineSplitter())
    intake.take(encode(first))
    for page in range(400):
        if page == 100:
            early = used()
        data = b"".join(b'%s"%d"%s' % (head, page * 500 + number, tail) for number in range(500))
        digest.update(data)
        assert len(intake.take(data)) == 500
    intake.take(encode(Trailer(count=200_000, sha256=digest.hexdigest())))
    intake.end()
assert intake.damage is None
print(used() - early)
"""

WRITE = """
writer = LineWriter(first)
for page in range(100):
    if page == 25:
        early = used()
    writer.page([replace(record, id=f"{page}-{number}", user_id=f"user {page}") for number in range(500)])
assert writer.report().memories == 50_000
print(used() - early)
"""


def kibibytes_more(program: str) -> int:
    """Return how much more memory the last three quarters of a program took than the first."""
    run = subprocess.run([sys.executable, "-c", COMMON + program], check=True, capture_output=True, text=True)
    return int(run.stdout)


def test_200_000_memories_are_read_in_constant_memory() -> None:
    assert kibibytes_more(READ) < 4 * 1024


def test_50_000_memories_are_written_in_constant_memory() -> None:
    assert kibibytes_more(WRITE) < 2 * 1024

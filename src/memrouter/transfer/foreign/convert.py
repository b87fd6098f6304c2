"""A foreign file made into one of the data format, which every import reads."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, Final

from memrouter import __version__
from memrouter.errors import InvalidRequest
from memrouter.models.memory import MAX_CONTENT_BYTES
from memrouter.stores.base import Capabilities
from memrouter.transfer.foreign.documents import objects_of
from memrouter.transfer.foreign.mem0 import LISTS as MEM0_LISTS
from memrouter.transfer.foreign.mem0 import from_mem0
from memrouter.transfer.foreign.memory import ForeignMemory, Owners, line_of
from memrouter.transfer.foreign.redis_ams import LISTS as REDIS_AMS_LISTS
from memrouter.transfer.foreign.redis_ams import from_redis_ams
from memrouter.transfer.format import FORMAT, VERSION, Filters, Manifest, Origin, Trailer, encode
from memrouter.transfer.report import MAX_REFUSALS, Refusal

MAX_FOREIGN_BYTES: Final = 512 * 1024 * 1024
"""Largest foreign file, unpacked; it is read as a whole."""


class Foreign(StrEnum):
    """Whose exports can be read."""

    MEM0 = "mem0"
    REDIS_AMS = "redis-ams"


_READERS: Final[Mapping[Foreign, tuple[Callable[[Mapping[str, Any]], ForeignMemory], Sequence[str]]]] = {
    Foreign.MEM0: (from_mem0, MEM0_LISTS),
    Foreign.REDIS_AMS: (from_redis_ams, REDIS_AMS_LISTS),
}


@dataclass(slots=True)
class Conversion:
    """What became of the memories of a foreign file.

    Attributes:
        read: All that are in the file.
        objects: Those of them that are JSON objects.
        converted: Those that can be imported.
        skipped: Those that cannot; ``reasons`` names the first of them, by their number in the file.
        dropped: How many memories said something that has no place here, by the name of the field.
        reasons: The first that were skipped.
    """

    read: int = 0
    objects: int = 0
    converted: int = 0
    skipped: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    reasons: list[Refusal] = field(default_factory=list)

    def skip(self, number: int, reason: str) -> None:
        """Count a memory that cannot be imported."""
        self.skipped += 1
        if len(self.reasons) < MAX_REFUSALS:
            self.reasons.append(Refusal(number, reason))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "read": self.read,
            "converted": self.converted,
            "skipped": self.skipped,
            "dropped": {name: count for name, count in sorted(self.dropped.items()) if count},
            "reasons": [{"number": reason.line, "reason": reason.reason} for reason in self.reasons],
        }


def convert(
    source: Iterable[bytes], target: BinaryIO, *, origin: Foreign, owners: Owners, about: Capabilities, now: int
) -> Conversion:
    """Write a foreign file's memories as a file of the data format; no vectors are read, they are made anew.

    The same file gives the same lines, up to the times that memories lack. Call it in a thread.

    Args:
        source: The foreign file in pieces, unpacked.
        target: Takes the lines; stands at its start then.
        origin: What wrote the file.
        owners: Whose memories they are to be.
        about: The store that they are meant for.
        now: Milliseconds since the epoch.

    Raises:
        InvalidRequest: The file is too large, or holds no JSON object at all.
    """
    report = Conversion()
    lines = _lines(_whole(source), origin, owners, report, now=now)
    if report.read and not report.objects:
        raise InvalidRequest(f"the file holds no JSON object; is it an export of {origin}, unpacked or named .gz?")
    digest = _written(target, [encode(_manifest(about, count=len(lines))), *lines])
    target.write(encode(Trailer(count=len(lines), sha256=digest)))
    target.seek(0)
    return report


def _whole(source: Iterable[bytes]) -> bytes:
    raw = bytearray()
    for chunk in source:
        raw += chunk
        if len(raw) > MAX_FOREIGN_BYTES:
            raise InvalidRequest(f"the file is larger than {MAX_FOREIGN_BYTES} bytes; split it by user")
    return bytes(raw)


def _lines(raw: bytes, origin: Foreign, owners: Owners, report: Conversion, *, now: int) -> list[bytes]:
    read, lists = _READERS[origin]
    lines: list[bytes] = []
    seen: set[tuple[str, str]] = set()
    for number, item in objects_of(raw, lists=lists):
        report.read += 1
        if item is None:
            report.skip(number, "it is no JSON object")
            continue
        report.objects += 1
        try:
            memory = read(item)
            line = line_of(memory, owners, now=now)
            encoded = encode(line)
        except InvalidRequest as error:
            report.skip(number, str(error))
            continue
        if (line.user_id, line.id) in seen:
            report.skip(number, "its user has another memory of the same id further up")
            continue
        seen.add((line.user_id, line.id))
        report.dropped.update(memory.dropped)
        report.dropped["project"] += memory.project is not None and not owners.keep_projects
        report.dropped["end of content"] += len((memory.content or "").encode(errors="ignore")) > MAX_CONTENT_BYTES
        report.converted += 1
        lines.append(encoded)
    return lines


def _manifest(about: Capabilities, *, count: int) -> Manifest:
    return Manifest(
        format=FORMAT,
        version=VERSION,
        embedding_model=about.embedding_model,
        dimension=about.dimension,
        count=count,
        created=0,
        source=Origin(backend="foreign", memrouter=__version__),
        filters=Filters(),
        vectors=False,
    )


def _written(target: BinaryIO, lines: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
        target.write(line)
    return digest.hexdigest()

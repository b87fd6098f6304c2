"""Which memories say the same: by meaning and by words, everybody in a group with everybody else."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.upkeep.merging import MOST_CONVERSATIONS, MOST_UNDOINGS, conversations, undoings
from memrouter.memory.upkeep.pace import Pace
from memrouter.memory.upkeep.particulars import Particulars
from memrouter.memory.upkeep.union import Form, form_of, union
from memrouter.models.history import Event
from memrouter.models.memory import MAX_CONTENT_BYTES, Matrix, MemoryRecord, Source, content_digest

LEAST_OVERLAP: Final = 0.5
"""Share of their index terms that two memories of one group have in common."""
LARGEST_GROUP: Final = 16
"""Most memories of one group."""
MOST_LINKS: Final = 64
"""Most memories that a group may go back to, over all mergers before."""
NEIGHBOURS: Final = 32
"""The most similar memories that each one is compared with word by word."""

_ROWS: Final = 128
_TEXTS: Final = 16


@dataclass(frozen=True, slots=True)
class Group:
    """Memories that say the same.

    Attributes:
        members: At least two, in the order of their creation.
        text: What they say together, without a model.
        similarity: ``vector_score`` of the two that are the least alike.
    """

    members: tuple[MemoryRecord, ...]
    text: str
    similarity: float


class Grouping:
    """Finds groups.

    Args:
        analyzer: Turns texts into index terms.
        threshold: ``vector_score`` that any two of a group have at least.
    """

    def __init__(self, analyzer: Analyzer, *, threshold: float) -> None:
        self._analyzer = analyzer
        self._threshold = threshold

    async def groups(self, records: Sequence[MemoryRecord], *, now: int, pace: Pace) -> list[Group]:
        """Return the groups among one user's memories, none of which shares a member with another.

        Left out are memories that are pinned or not visible, session windows, and texts with code. Together come only
        memories of one project, type and form that agree in numbers, names and negations, and that no undoing parted.

        Args:
            records: Memories of one user.
            now: Milliseconds since the epoch.
            pace: Is asked to rest every few milliseconds.
        """
        kinds: dict[tuple[str, str, Form | None], list[MemoryRecord]] = defaultdict(list)
        for record in records:
            if groupable(record, now=now):
                kinds[record.project_id, record.type, form_of(record.content)].append(record)
        found = []
        for kind in kinds.values():
            kind.sort(key=lambda record: (record.created_at, record.id))
            found += await self._of_kind(kind, pace)
        return found

    async def _of_kind(self, records: Sequence[MemoryRecord], pace: Pace) -> list[Group]:
        near: dict[tuple[int, int], float] = {}
        vectors = np.stack([record.embedding for record in records])
        for first in range(0, len(records), _ROWS):
            near |= await asyncio.to_thread(_near, vectors, first, self._threshold)
            await pace.rest()
        if not near:
            return []
        particulars = await self._particulars(records, {place for pair in near for place in pair}, pace)
        alike = {
            pair: score
            for pair, score in near.items()
            if _together(records[pair[0]], records[pair[1]], particulars[pair[0]], particulars[pair[1]])
        }
        return await asyncio.to_thread(lambda: list(_linked(records, alike)))

    async def _particulars(
        self, records: Sequence[MemoryRecord], places: Iterable[int], pace: Pace
    ) -> dict[int, Particulars]:
        found: dict[int, Particulars] = {}
        wanted = sorted(places)
        analyzer = self._analyzer.suited_to([records[place].content for place in wanted[:_TEXTS]])
        for first in range(0, len(wanted), _TEXTS):
            some = wanted[first : first + _TEXTS]
            texts = [records[place].content for place in some]
            found |= zip(some, await asyncio.to_thread(_particulars, texts, analyzer), strict=True)
            await pace.rest()
        return found


def groupable(record: MemoryRecord, *, now: int) -> bool:
    """Return whether a memory may be merged with others at all."""
    return (
        record.visible(now)
        and not record.pinned
        and record.source is not Source.SESSION_WINDOW
        and form_of(record.content) is not None
    )


def _near(vectors: Matrix, first: int, threshold: float) -> dict[tuple[int, int], float]:
    """Return the pairs of a few rows with later ones whose score is high enough, of each row the nearest."""
    scores = (1 + vectors[first : first + _ROWS] @ vectors[first:].T) / 2
    found: dict[tuple[int, int], float] = {}
    for row, line in enumerate(scores):
        line[: row + 1] = -1
        places = np.flatnonzero(line >= threshold)
        if places.size > NEIGHBOURS:
            places = places[np.argpartition(-line[places], NEIGHBOURS - 1)[:NEIGHBOURS]]
        found |= {(first + row, first + int(place)): float(line[place]) for place in places}
    return found


def _particulars(texts: Sequence[str], analyzer: Analyzer) -> list[Particulars]:
    return [Particulars.of(text, analyzer) for text in texts]


def _together(one: MemoryRecord, other: MemoryRecord, a: Particulars, b: Particulars) -> bool:
    if _parted(one, other):
        return False
    if content_digest(one.content) == content_digest(other.content):
        return True
    return a.agrees_with(b) and a.overlap(b) >= LEAST_OVERLAP


def _parted(one: MemoryRecord, other: MemoryRecord) -> bool:
    """Return whether somebody undid that the two were one memory, or that one stood for the other."""
    mine, theirs = ({entry.ref for entry in each.history if entry.event is Event.RESTORED} for each in (one, other))
    return bool(mine & theirs) or other.id in mine or one.id in theirs


def _linked(records: Sequence[MemoryRecord], alike: dict[tuple[int, int], float]) -> Iterator[Group]:
    """Yield groups in which every two are alike; the nearest come together first."""
    group_of: dict[int, list[int]] = {}
    for (one, other), _ in sorted(alike.items(), key=lambda item: (-item[1], item[0])):
        mine, theirs = group_of.get(one, [one]), group_of.get(other, [other])
        if mine is theirs or not _all_alike(mine, theirs, alike):
            continue
        joined = sorted(mine + theirs)
        if _bounded([records[place] for place in joined]):
            group_of |= dict.fromkeys(joined, joined)
    for places in {id(places): places for places in group_of.values()}.values():
        members = tuple(records[place] for place in places)
        least = min(alike[one, other] for one in places for other in places if one < other)
        yield Group(members, union([member.content for member in members]), least)


def _all_alike(mine: Sequence[int], theirs: Sequence[int], alike: dict[tuple[int, int], float]) -> bool:
    return all((min(one, other), max(one, other)) in alike for one in mine for other in theirs)


def _bounded(members: Sequence[MemoryRecord]) -> bool:
    if len(members) > LARGEST_GROUP or sum(1 + len(member.links) for member in members) > MOST_LINKS:
        return False
    if len(conversations(members)) > MOST_CONVERSATIONS or len(undoings(members)) > MOST_UNDOINGS:
        return False
    return len(union([member.content for member in members]).encode()) <= MAX_CONTENT_BYTES

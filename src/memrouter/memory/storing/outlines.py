"""What this router knows of owners to whom it has just written: enough to see that a text is new without a search.

An outline holds of each kept memory a digest of its text, its turn and its vector in 16 bits a number; it is good for
one generation of its owner. It never says that a memory is there, only which may be worth a look, and misses none.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memrouter.models.memory import MemoryRecord, Source, Vector, content_digest, owner_key
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Change, ScanQuery

MAX_MEMORIES: Final = 5_000
"""Largest owner that is outlined."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""Most memory that all outlines take, about."""
MAX_OUTLINE_BYTES: Final = 8 * 1024 * 1024
"""Most memory that one outline takes, about."""
IDLE_WRITES: Final = 1_000
"""After so many writes to others, an owner's outline gives way to that of another owner."""
MAX_NOTES: Final = 10_000
"""Most owners of which it is remembered that this router was the last to write."""
NEAR: Final = 64
"""Most near memories that are looked at for one text; the nearest ones."""

_STEPS: Final = 32_767
"""A number of a unit vector is held as so many times its value: unlike half precision, widened at once."""
_ROUNDING: Final = 2e-3
"""By how much a score of rounded vectors may be off: more than ``sqrt(dimension) / (4 * _STEPS)``."""
_BYTES_BESIDE: Final = 400
_SPARE_ROWS: Final = 64
_OTHERS_WRITE: Final = -1
_TOO_LARGE: Final = -2


class Outline:
    """What is kept of one owner, at one generation; what was removed since it was read may be in it still.

    Args:
        records: All of the owner's memories.

    Attributes:
        erased_at: What ``ErasureMarks.latest`` said of the owner since the outline was read; None where it is to be
            asked. A deletion that it does not tell of has not raised the owner's generation yet, or the outline is
            good no longer.
    """

    def __init__(self, records: Sequence[MemoryRecord]) -> None:
        self.erased_at: int | None = None
        self._ids: list[str] = []
        self._rows: dict[int, list[int]] = {}
        self._matrix: NDArray[np.int16] = np.zeros((0, 0), dtype=np.int16)
        self.add(records)

    def __len__(self) -> int:
        """Return a number of memories that the owner has not more than."""
        return len(self._ids)

    @property
    def size(self) -> int:
        """Return about how many bytes it takes."""
        return self._matrix.nbytes + _BYTES_BESIDE * len(self._ids)

    def add(self, records: Sequence[MemoryRecord]) -> None:
        """Take in memories as they now are; what they were stays in it too."""
        if not records:
            return
        first, last = len(self._ids), len(self._ids) + len(records)
        if last > len(self._matrix):
            grown = np.zeros((last + max(_SPARE_ROWS, last // 8), len(records[0].embedding)), dtype=np.int16)
            grown[:first] = self._matrix[:first] if first else 0
            self._matrix = grown
        for row, record in enumerate(records, first):
            self._matrix[row] = np.rint(record.embedding.clip(-1, 1) * _STEPS)
            for name in _names(record):
                self._rows.setdefault(name, []).append(row)
        self._ids += (record.id for record in records)

    def suspects(self, record: MemoryRecord, *, threshold: float | None) -> set[str]:
        """Return the ids of memories that may hold what ``record`` holds: the same text, turn, or a near vector.

        Args:
            record: A new memory.
            threshold: Score from which on a vector is near; None where near ones do not matter.
        """
        rows = {row for name in _names(record) for row in self._rows.get(name, ())}
        if threshold is not None and self._ids:
            rows.update(self._near(record.embedding, threshold))
        return {self._ids[row] for row in rows}

    def _near(self, vector: Vector, threshold: float) -> list[int]:
        held = self._matrix[: len(self._ids)].astype(np.float32)
        # Not a product by BLAS, whose threads wait for one another on a busy machine.
        cosines = np.einsum("ij,j->i", held, vector)  # times _STEPS
        (near,) = (cosines >= (2 * (threshold - _ROUNDING) - 1) * _STEPS).nonzero()
        if len(near) > NEAR:
            near = near[(-cosines[near]).argsort(kind="stable")][:NEAR]
        rows: list[int] = near.tolist()
        return rows


@dataclass(slots=True, eq=False)
class _Held:
    generation: int
    outline: Outline
    used: int


class Outlines:
    """The outlines of the owners that were written to last; follows every change that this router makes.

    An owner is outlined at this router's first write, and anew where this router was also the last to write: where
    several routers write to an owner in turn, reading it whole each time would cost more than it saves.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._last: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        self._writes = 0

    def generation(self, user_id: str) -> int | None:
        """Return the generation at which an owner's outline is good; None where there is none."""
        held = self._held.get(owner_key(user_id))
        return None if held is None else held.generation

    async def at(self, user_id: str, generation: int, store: MemoryStore) -> Outline | None:
        """Return the outline of an owner; None where there is none, and reading the owner whole would not pay.

        Args:
            user_id: The owner.
            generation: The generation at which it is to be good; a change that is planned by it must be committed at
                this one.
            store: Read where there is no outline.
        """
        owner = owner_key(user_id)
        self._writes += 1
        held = self._held.get(owner)
        if held is not None and held.generation == generation:
            held.used = self._writes
            self._held.move_to_end(owner)
            return held.outline
        self._drop(owner)
        if self._last.get(owner, generation) != generation or not self._room():
            return None
        outline = await _read(store, user_id)
        if outline is None:
            self._note(owner, _TOO_LARGE)
        else:
            self._keep(owner, generation, outline)
        return outline

    def changed(self, change: Change, generation: int) -> None:
        """Note a change that this router made, and the owner's generation since."""
        owner = owner_key(change.user_id)
        if self._last.get(owner) != _TOO_LARGE:
            self._note(owner, generation)
        held = self._drop(owner)
        if held is not None and held.generation == change.after:
            held.outline.add(change.put)
            if change.remove:
                held.outline.erased_at = None
            self._keep(owner, generation, held.outline)

    def outdated(self, user_id: str) -> None:
        """Note that another router wrote to an owner meanwhile."""
        self._drop(owner_key(user_id))
        self._note(owner_key(user_id), _OTHERS_WRITE)

    def _room(self) -> bool:
        """Return whether one more outline may be made, after one has gone that is not used any more."""
        if self._bytes > MAX_BYTES - MAX_OUTLINE_BYTES:
            owner, oldest = next(iter(self._held.items()))
            if oldest.used > self._writes - IDLE_WRITES:
                return False
            self._drop(owner)
        return True

    def _note(self, owner: str, generation: int) -> None:
        self._last[owner] = generation
        self._last.move_to_end(owner)
        if len(self._last) > MAX_NOTES:
            self._last.popitem(last=False)

    def _keep(self, owner: str, generation: int, outline: Outline) -> None:
        self._drop(owner)
        self._held[owner] = _Held(generation, outline, self._writes)
        self._bytes += outline.size
        while self._bytes > MAX_BYTES:
            self._drop(next(iter(self._held)))

    def _drop(self, owner: str) -> _Held | None:
        held = self._held.pop(owner, None)
        if held is not None:
            self._bytes -= held.outline.size
        return held


async def _read(store: MemoryStore, user_id: str) -> Outline | None:
    """Return the outline of an owner; None for one that is too large."""
    outline = Outline(())
    async for page in store.scan(ScanQuery(user_id=user_id)):
        await asyncio.to_thread(outline.add, page.records)
        if len(outline) > MAX_MEMORIES or outline.size > MAX_OUTLINE_BYTES:
            return None
    return outline


def _names(record: MemoryRecord) -> Iterable[int]:
    """Return by what a memory is known: its text, and the turn from which it comes."""
    yield hash(content_digest(record.content))
    if record.conversation_id is not None and record.turn_index is not None:
        yield hash((record.conversation_id, record.turn_index, Source(record.source)))

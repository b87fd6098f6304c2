"""Proof that one store holds what another does: counts, digests and a sample that is read back."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from msgspec.structs import replace

from memrouter.models.memory import MemoryRecord, Scope, content_digest, owner_key
from memrouter.stores.base import MemoryStore
from memrouter.stores.joined import joined, same_memory
from memrouter.stores.query import MergeMode, ScanQuery
from memrouter.transfer.progress import Progress
from memrouter.transfer.twins import own_id

PAGE: Final = 500


@dataclass(slots=True)
class Reconciliation:
    """How the memories of a source stand in a target.

    Attributes:
        memories: Memories of the source that were to be moved.
        users: Whose they are.
        whole_users: Users who have all of these in the target.
        equal: Memories that the target has with the same id, time of change and text.
        different: Memories of which the target has another version.
        unexplained: Those of ``different`` that should have been replaced.
        missing: Memories that the target does not have.
        only_target: Memories of the target that are none of the source's; they were there before.
        source_sha256: Over owner, id, time of change and text digest of the source's memories.
        target_sha256: Over the same of the same memories as the target has them.
        sampled: Memories that were read back one by one, by their ids.
        sample_equal: How many of these are as in the source in every field.
    """

    memories: int = 0
    users: int = 0
    whole_users: int = 0
    equal: int = 0
    different: int = 0
    unexplained: int = 0
    missing: int = 0
    only_target: int = 0
    source_sha256: str = ""
    target_sha256: str = ""
    sampled: int = 0
    sample_equal: int = 0

    @property
    def complete(self) -> bool:
        """Return whether nothing is missing, and what differs differs because it was to be kept."""
        return not self.missing and not self.unexplained and self.sampled == self.sample_equal

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {**asdict(self), "complete": self.complete}


class Reconciler:
    """Reads both stores side by side, in constant memory.

    Args:
        source: Where memories came from.
        target: Where they went.
        mode: What was done where an id was taken; says which differences are as they should be.
        expected: Gives a memory of the source as it was to be stored; None where it was not to be.
        sample: How many memories are read back one by one.
        rng: Chooses them.
        progress: Is told how far it is.
    """

    def __init__(
        self,
        source: MemoryStore,
        target: MemoryStore,
        *,
        mode: MergeMode,
        expected: Callable[[MemoryRecord], MemoryRecord | None],
        sample: int,
        rng: random.Random,
        progress: Progress,
    ) -> None:
        self._source = source
        self._target = target
        self._mode = mode
        self._expected = expected
        self._size = sample
        self._rng = rng
        self._progress = progress
        self._sample: list[MemoryRecord] = []
        self._candidates = 0
        self._digests = hashlib.sha256(), hashlib.sha256()
        self._result = Reconciliation()

    async def run(self) -> Reconciliation:
        """Compare everything, then read the sample back.

        Raises:
            StoreError: One of the stores could not be read.
        """
        query, result = ScanQuery(page=PAGE), self._result
        user_id, whole = None, True
        async for pair in joined(self._source.scan(query), self._target.scan(query)):
            wanted = None if pair.left is None else self._expected(pair.left)
            if wanted is None:
                result.only_target += pair.right is not None and pair.left is None
                continue
            if wanted.user_id != user_id:
                result.whole_users += user_id is not None and whole
                result.users += 1
                user_id, whole = wanted.user_id, True
            found = pair.right or await self._elsewhere(wanted)
            self._compare(wanted, found)
            whole = whole and found is not None
            self._progress.advance(1)
        result.whole_users += user_id is not None and whole
        result.source_sha256, result.target_sha256 = (digest.hexdigest() for digest in self._digests)
        await self._read_back()
        return result

    def _compare(self, wanted: MemoryRecord, found: MemoryRecord | None) -> None:
        result = self._result
        result.memories += 1
        self._digests[0].update(_line(wanted))
        if found is None:
            result.missing += 1
            return
        seen = replace(found, id=wanted.id)
        self._digests[1].update(_line(seen))
        if _line(seen) == _line(wanted):
            result.equal += 1
            self._consider(wanted)
            return
        result.different += 1
        newer = self._mode is MergeMode.NEWER and wanted.updated_at > found.updated_at
        result.unexplained += newer or self._mode is MergeMode.REPLACE

    async def _elsewhere(self, wanted: MemoryRecord) -> MemoryRecord | None:
        """Return the memory that stands at another time, or under another id since its own is somebody else's."""
        found = await self._target.get(Scope(wanted.user_id, None), [wanted.id, own_id(wanted)], now=0)
        self._result.only_target -= len(found)  # the scan of the target gives them too
        return found[0] if found else None

    def _consider(self, record: MemoryRecord) -> None:
        """Keep a memory for the sample, each one as likely as any other."""
        self._candidates += 1
        if len(self._sample) < self._size:
            self._sample.append(record)
        elif (place := self._rng.randrange(self._candidates)) < self._size:
            self._sample[place] = record

    async def _read_back(self) -> None:
        for wanted in self._sample:
            scope = Scope(wanted.user_id, None)
            found = await self._target.get(scope, [wanted.id, own_id(wanted)], now=0)
            self._result.sampled += 1
            self._result.sample_equal += bool(found) and self._faithful(wanted, found[0])

    def _faithful(self, wanted: MemoryRecord, seen: MemoryRecord) -> bool:
        """Return whether a memory is as in the source in every field.

        Its vector may be of another model, its id may have had to change, and accesses go on being counted.
        """
        about = self._target.capabilities
        if seen.embedding_model != about.embedding_model or seen.embedding.shape != (about.dimension,):
            return False
        if wanted.embedding_model != about.embedding_model or wanted.embedding.shape != (about.dimension,):
            wanted = replace(wanted, embedding=seen.embedding, embedding_model=seen.embedding_model)
        counts = replace(seen, id=wanted.id, access_count=wanted.access_count, last_accessed=wanted.last_accessed)
        return same_memory(counts, wanted)


def _line(record: MemoryRecord) -> bytes:
    parts = (owner_key(record.user_id), record.id, str(record.updated_at), content_digest(record.content))
    return " ".join(parts).encode() + b"\n"

"""What the tests of upkeep work with: a store whose steps can be made to fail, and the parts over it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec.structs import replace

from memrouter.config.keeping import ConsolidationSettings, QualitySettings, RetentionSettings
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.storing.edits import OwnerEdits
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.upkeep.consolidation import MergedTextWriter
from memrouter.memory.upkeep.upkeep import Upkeep
from memrouter.models.memory import Matrix, MemoryRecord, Scope, Trust
from memrouter.stores.query import ListQuery, MergeMode, ScanQuery
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import NOW

from ..fault_stores import DIMENSION, MODEL

DAY = 86_400_000


class Counts:
    """Satisfies ``UpkeepObserver``."""

    def __init__(self) -> None:
        self.pruned_by: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()
        self.tokens = (0, 0)

    def pruned(self, rule: str, count: int) -> None:
        self.pruned_by[rule] += count

    def consolidated(self, outcome: str, *, sources: int) -> None:
        self.groups[outcome] += 1

    def consolidation_tokens(self, *, prompt: int, completion: int) -> None:
        self.tokens = (self.tokens[0] + prompt, self.tokens[1] + completion)


class CountingEmbedder:
    """Counts texts on their way to the hash embedder."""

    def __init__(self) -> None:
        self._inner = HashEmbedder(DIMENSION)
        self.texts = 0
        self.info = self._inner.info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        self.texts += len(texts)
        return await self._inner.embed(texts)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Bench:
    """Upkeep over a store, with a clock that stands still."""

    store: Any
    quality: QualitySettings = field(default_factory=QualitySettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    consolidation: ConsolidationSettings = field(default_factory=ConsolidationSettings)
    writer: MergedTextWriter | None = None
    refuse: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.clock = ManualClock(NOW + DAY)
        self._made = 0
        self.counts = Counts()
        self.embedder = CountingEmbedder()
        settings = MemorySettings(
            quality_scoring=self.quality, retention=self.retention, consolidation=self.consolidation
        )
        self.upkeep = Upkeep.of(
            settings,
            store=self.store,
            embedder=self.embedder,
            edits=OwnerEdits(self.store, rng=Random(1)),
            analyzer=Analyzer(),
            accepts=self._accepts,
            writer=self.writer,
            clock=self.clock,
            ids=IdFactory(self.clock, Random(2)),
            observer=self.counts,
        )

    def at(self, ms: int) -> "Bench":
        """Set the clock."""
        self.clock.ms = ms
        return self

    async def record(self, content: str, *, user_id: str = "alice", **changes: Any) -> MemoryRecord:
        """Return a memory, each a millisecond newer than the one before; it is not stored."""
        self._made += 1
        (vector,) = await HashEmbedder(DIMENSION).embed([content])
        at = NOW + self._made
        record = MemoryRecord(
            id=f"m{self._made:03d}",
            user_id=user_id,
            content=content,
            embedding=vector,
            embedding_model=MODEL,
            created_at=at,
            updated_at=at,
        )
        return replace(record, **changes)

    async def keep(self, *contents: str, **changes: Any) -> list[MemoryRecord]:
        """Store memories and return them."""
        records = [await self.record(content, **changes) for content in contents]
        await self.store.merge(records, mode=MergeMode.SKIP)
        return records

    def _accepts(self, text: str, trust: Trust) -> bool:
        return not any(word in text for word in self.refuse)

    async def everything(self, user_id: str = "alice") -> dict[str, MemoryRecord]:
        """Return all memories of a user, whatever their state."""
        scan = self.store.scan(ScanQuery(user_id=user_id))
        return {record.id: record for page in [page async for page in scan] for record in page.records}

    async def active(self, user_id: str = "alice") -> dict[str, MemoryRecord]:
        """Return the memories that retrieval can find."""
        query = ListQuery(limit=1000, now=self.clock.now_ms())
        page = await self.store.list(Scope(user_id, None), query)
        return {record.id: record for record in page.records}

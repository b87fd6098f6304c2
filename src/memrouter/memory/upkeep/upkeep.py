"""Everything that keeps memories in order, for the HTTP API, the command line and the schedule."""

from dataclasses import dataclass
from typing import Self

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.screening.screen import Screen, Screened
from memrouter.memory.storing.edits import OwnerEdits
from memrouter.memory.storing.ids import IdFactory
from memrouter.memory.upkeep.consolidation import Accepts, Consolidation, MergedTextWriter
from memrouter.memory.upkeep.grouping import Grouping
from memrouter.memory.upkeep.observer import UpkeepObserver
from memrouter.memory.upkeep.pruning import Pruning
from memrouter.memory.upkeep.retention import RetentionRules
from memrouter.memory.upkeep.undoing import ConsolidationUndo
from memrouter.models.memory import Trust
from memrouter.stores.base import MemoryStore


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What keeps the memories of one store in order.

    Attributes:
        pruning: Removes what has to go by itself.
        consolidation: Merges what says the same.
        undoing: Takes a consolidation back.
    """

    pruning: Pruning
    consolidation: Consolidation
    undoing: ConsolidationUndo

    @classmethod
    def of(
        cls,
        settings: MemorySettings,
        *,
        store: MemoryStore,
        embedder: Embedder,
        edits: OwnerEdits,
        analyzer: Analyzer,
        accepts: Accepts,
        writer: MergedTextWriter | None,
        clock: Clock,
        ids: IdFactory,
        observer: UpkeepObserver,
    ) -> Self:
        """Return the upkeep that the settings ask for; the arguments are those of its parts."""
        rules = RetentionRules(settings.quality_scoring, settings.retention)
        grouping = Grouping(analyzer, threshold=settings.consolidation.similarity_threshold)
        return cls(
            pruning=Pruning(store=store, edits=edits, rules=rules, clock=clock, observer=observer),
            consolidation=Consolidation(
                store=store,
                embedder=embedder,
                edits=edits,
                grouping=grouping,
                writer=writer,
                accepts=accepts,
                clock=clock,
                ids=ids,
                observer=observer,
            ),
            undoing=ConsolidationUndo(store=store, edits=edits, clock=clock),
        )


def unchanged_by(screen: Screen) -> Accepts:
    """Return the check that a text passes a screening as it is: not refused, masked or quarantined."""

    def accepts(text: str, trust: Trust) -> bool:
        answer = screen.screen(text, trust=trust, role=None, explicit=True)
        return isinstance(answer, Screened) and answer.quarantine is None and answer.content == text

    return accepts

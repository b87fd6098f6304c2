"""The store that memories move to: the checks of any store, under names of their own."""

from collections.abc import Iterator
from dataclasses import replace

from memrouter.config.memory import MemorySettings
from memrouter.doctor.findings import Finding, Level, broken
from memrouter.embeddings.base import EmbedderInfo
from memrouter.transfer.open_migration import other_dimension


def of_target(finding: Finding, target: MemorySettings) -> Finding:
    """Return what was found in the new store, told apart from the old one's and naming its own settings."""
    section = f"global.stores.memory.{target.effective_backend}"
    own = section.replace("memory.", "memory.migration.to.")
    why = f"memories cannot move to it: {finding.why}" if finding.level is Level.BROKEN else finding.why
    seen, fix = (text.replace(section, own) for text in (finding.seen, finding.fix))
    return replace(finding, check=f"migration {finding.check}", seen=seen, why=why, fix=fix)


def dimension_findings(target: MemorySettings, embedder: EmbedderInfo | None) -> Iterator[Finding]:
    """Yield what is wrong where the new store is set to vectors of another length than the embedder's."""
    problem = None if embedder is None else other_dimension(target, embedder.dimension)
    if problem is not None:
        yield broken("migration", str(problem), why="the router does not start", fix=problem.hint)

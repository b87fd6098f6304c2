"""Present values of the metrics, for pages that show some of them. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric


@dataclass(frozen=True, slots=True)
class UpkeepRuns:
    """How often a task of upkeep ran in this process.

    Attributes:
        task: ``prune`` or ``consolidate``.
        outcomes: How often it ended how.
        holds_lease: Whether this process does it now.
    """

    task: str
    outcomes: Mapping[str, int]
    holds_lease: bool


class Counters:
    """The values of one moment.

    Args:
        families: From ``Metrics.collect``.
    """

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples = [sample for family in families for sample in family.samples]

    def __getitem__(self, name: str) -> int:
        """Return the sum of all samples of ``memrouter_{name}``; 0 where there is none."""
        return round(sum(sample.value for sample in self._samples if sample.name == f"memrouter_{name}"))

    def by(self, name: str, label: str) -> Mapping[str, int]:
        """Return the sums of ``memrouter_{name}`` by the value of a label; what is 0 is left out."""
        found: Counter[str] = Counter()
        for sample in self._samples:
            if sample.name == f"memrouter_{name}" and sample.value:
                found[sample.labels.get(label, "")] += round(sample.value)
        return found

    def upkeep(self, tasks: Iterable[str]) -> list[UpkeepRuns]:
        """Return how often each task of upkeep ran here."""
        outcomes: dict[str, Counter[str]] = {task: Counter() for task in tasks}
        for sample in self._samples:
            if sample.name == "memrouter_upkeep_runs_total" and sample.labels["task"] in outcomes:
                outcomes[sample.labels["task"]][sample.labels["outcome"]] += round(sample.value)
        held = self.by("upkeep_lease", "task")
        return [UpkeepRuns(task, found, held.get(task, 0) > 0) for task, found in outcomes.items()]

"""What memrouter aims at, and whether the figures are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one figure.

    Attributes:
        name: What is bounded.
        question: Which benchmark has the figure.
        figure: Its name there.
        must: The bound.
        aim: The bound that is aimed at.
        unit: Behind the numbers; empty for a ratio.
        least: Whether the figure must be at least the bound; else at most.
    """

    name: str
    question: str
    figure: str
    must: float
    aim: float
    unit: str = ""
    least: bool = False

    def verdict(self, value: float) -> str:
        """Return how a value stands to the bounds."""
        sign = -1 if self.least else 1
        if sign * value <= sign * self.aim:
            return "aim reached"
        return "kept" if sign * value <= sign * self.must else "**missed**"

    def row(self, results: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
        """Return what the table shows: name, must, aim, measured, verdict."""
        bound = "at least" if self.least else "at most"
        texts = [self.name, f"{bound} {self.must:g}{self.unit}", f"{self.aim:g}{self.unit}"]
        spread = results.get(self.question, {}).get("figures", {}).get(self.figure)
        if spread is None:
            return [*texts, "", "not measured"]
        measured = f"{spread['median']:.2f}{self.unit} ({spread['low']:.2f} to {spread['high']:.2f})"
        return [*texts, measured, self.verdict(spread["median"])]


def _retrieval() -> list[Target]:
    made = []
    for size in (10_000, 100_000):
        for case, question in (("warm", "later questions"), ("cold", "a user's first question")):
            name = f"retrieval p50 on Valkey over raw FT.SEARCH, {size:,} memories, {question}"
            made.append(Target(name, "retrieval", f"valkey.s{size}.{case}.ratio", 2.0, 1.3))
    for case, question in (("warm", "later questions"), ("cold", "a user's first question")):
        for key, how in (("betterdb-default", ""), ("betterdb", " without reinforcement")):
            name = f"retrieval p50 against betterdb-agent-memory's recall{how}, 10,000 memories, {question}"
            made.append(Target(name, "retrieval", f"valkey.s10000.{case}_to_{key}", round(1 / 3, 3), 0.1))
    for store in ("sqlite", "valkey", "milvus"):
        for case, question in (("warm", "later questions"), ("cold", "first questions")):
            name = f"p50 at 100,000 memories over p50 at 1,000, {store}, {question}"
            made.append(Target(name, "retrieval", f"{store}.growth.s100000.{case}", 1.3, 1.1))
    return made


TARGETS: tuple[Target, ...] = (
    Target("added p50, memory on SQLite, 1 client", "overhead", "whole.sqlite.1.added_p50_ms", 3.0, 1.5, " ms"),
    Target("the same over LiteLLM's added p50", "overhead", "added_p50_to_litellm.sqlite.1", 0.25, 0.125),
    Target(
        "requests/s over LiteLLM's, 64 clients, memory on SQLite", "overhead", "rate_to_litellm.sqlite.64", 8.0, 15.0,
        least=True,
    ),
    Target(
        "added time to first token, memory on SQLite, 1 client", "overhead",
        "streamed.sqlite.1.added_first_token_ms", 3.0, 1.5, " ms",
    ),
    *_retrieval(),
    Target("resident memory at rest, SQLite", "startup", "sqlite.rss_mb", 200.0, 120.0, " MB"),
    Target("start to ready, SQLite", "startup", "sqlite.ready_s", 2.0, 1.0, " s"),
)  # fmt: skip

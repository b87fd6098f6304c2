"""``python -m benchmarks.embedding``: sentences to vectors, by embedder and number of sentences at once."""

import argparse
import time
from collections.abc import Sequence
from types import MappingProxyType

from rich.console import Console

from benchmarks import people
from benchmarks.arguments import parameters, parser, positive
from benchmarks.peers.wordllama_vectors import WordLlamaVectors
from benchmarks.report import Report, Sheet, rates, times
from benchmarks.running import finish
from benchmarks.sampling import Block, Case, Spread, measure, quotient
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.base import Embedder
from memrouter.embeddings.factory import open_embedder
from memrouter.errors import MemrouterError

NO_ENVIRONMENT = MappingProxyType[str, str]({})
SENTENCES = 2_000
EMBEDDERS = ("wordllama", "hash", "bert")


async def opened(report: Report, console: Console) -> dict[str, Embedder]:
    """Return the embedders that can be had on this machine; the others are noted in the report."""
    found: dict[str, Embedder] = {}
    for name in EMBEDDERS:
        settings = MemorySettings.model_validate({"embedding_model": name, "limits": {"embedding_cache_entries": 0}})
        try:
            found[name] = await open_embedder(settings, env=NO_ENVIRONMENT)
        except (MemrouterError, OSError, ValueError) as error:
            report.failed(f"embedder {name}", str(error), console)
    return found


def _package(sentences: Sequence[str], size: int) -> Block:
    """Return the block that has the wordllama package itself embed."""
    embed = WordLlamaVectors()

    async def block(first: int, number: int) -> Sequence[float]:
        seconds = []
        for batch in _batches(sentences, size, first, number):
            begun = time.perf_counter()
            embed(batch)
            seconds.append(time.perf_counter() - begun)
        return seconds

    return block


def _ours(embedder: Embedder, sentences: Sequence[str], size: int) -> Block:
    async def block(first: int, number: int) -> Sequence[float]:
        seconds = []
        for batch in _batches(sentences, size, first, number):
            begun = time.perf_counter()
            await embedder.embed(batch)
            seconds.append(time.perf_counter() - begun)
        return seconds

    return block


def _batches(sentences: Sequence[str], size: int, first: int, number: int) -> list[list[str]]:
    return [
        [sentences[(place * size + offset) % len(sentences)] for offset in range(size)]
        for place in range(first, first + number)
    ]


async def run(chosen: argparse.Namespace, console: Console) -> Report:
    """Measure and print everything."""
    report = Report("embedding", "Embedding", parameters(chosen, ("rounds", "samples", "batches")))
    sentences = [fact.text for user in range(SENTENCES // 100) for fact in people.facts(user, 100)]
    embedders = await opened(report, console)
    for size in chosen.batches:
        cases = [
            Case("package", "wordllama package itself", _package(sentences, size)),
            *(Case(name, f"memrouter: {name}", _ours(found, sentences, size)) for name, found in embedders.items()),
        ]
        samples = max(3, chosen.samples // size)
        await measure(cases, rounds=chosen.rounds, per_round=samples, warm_up=samples, most_seconds=0.5)
        _tell(size, cases, report, console)
    for embedder in embedders.values():
        await embedder.aclose()
    return report


def _tell(size: int, cases: Sequence[Case], report: Report, console: Console) -> None:
    sheet = Sheet(
        f"{size} sentences at once" if size > 1 else "one sentence at a time",
        ("", "p50 ms", "least to most", "p99 ms", "sentences/s", "least to most", "ratio"),
    )
    for case in cases:
        middle, rate = case.quantile(0.5).times(1000), Spread.of(case.rate(size))
        late = case.quantile(0.99).times(1000)
        ratio = quotient(case.by_round(0.5), cases[0].by_round(0.5))
        report.figures[f"{case.key}.{size}.p50_ms"] = middle
        report.figures[f"{case.key}.{size}.rate"] = rate
        sheet.rows.append((case.name, *times(middle), f"{late.median:.3f}", *rates(rate), f"{ratio.median:.2f}"))
    report.add(sheet, console)


def main() -> None:
    """Read the arguments, measure, and write the JSON file."""
    made = parser(__doc__ or "")
    made.add_argument("--samples", type=positive, help="sentences in each round; by default 500, with --full 5000")
    made.add_argument("--batches", type=positive, nargs="*", default=[1, 8, 64, 256], help="sentences at once")
    chosen = made.parse_args()
    chosen.samples = chosen.samples or (5_000 if chosen.full else 500)
    finish(run, chosen, width=140)


if __name__ == "__main__":
    main()

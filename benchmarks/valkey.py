"""``python -m benchmarks.valkey``: retrieval and insert on a Valkey server that is started for it."""

import argparse
import asyncio
import sys

from rich.console import Console

from benchmarks.valkey_insert import insert
from benchmarks.valkey_retrieval import retrieval
from memrouter.testing.valkey import ValkeyServer


async def run(sizes: list[int], rounds: int, console: Console) -> bool:
    """Measure everything, each on an empty server; return whether every target is kept."""
    kept = True
    for memories in sizes:
        async with ValkeyServer() as server:
            kept &= await retrieval(console, server.settings(), memories=memories, rounds=rounds)
    async with ValkeyServer() as server:
        kept &= await insert(console, server.settings(), rounds=max(3, rounds // 50))
    return kept


def main() -> None:
    """Read the arguments, measure, and exit with 1 if a target was missed."""
    parser = argparse.ArgumentParser(description="Measures the Valkey store beside raw commands, in one run.")
    parser.add_argument("--memories", type=int, nargs="*", default=[10_000, 100_000], help="sizes of the data set")
    parser.add_argument("--rounds", type=int, default=1_000, help="samples of each retrieval")
    chosen = parser.parse_args()
    sys.exit(0 if asyncio.run(run(chosen.memories, chosen.rounds, Console(width=110))) else 1)


if __name__ == "__main__":
    main()

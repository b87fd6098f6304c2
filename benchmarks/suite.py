"""``python -m benchmarks.suite``: every question, one after the other, each in a process of its own."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from benchmarks.arguments import parser
from benchmarks.circumstances import ROOT

ORDER = ("startup", "embedding", "overhead", "retrieval", "writes", "growth")
"""In the order in which they run: growth tells of what retrieval has measured."""
FEW_ROUNDS = 3
"""Rounds of a quick run in which servers start: each takes several seconds."""
WITH_STORES = ("startup", "retrieval", "writes", "growth")
WITH_PEERS = ("startup", "overhead", "retrieval", "writes")


def command(question: str, chosen: argparse.Namespace) -> Sequence[str]:
    """Return the command that answers a question."""
    words = [sys.executable, "-m", f"benchmarks.{question}", "--full" if chosen.full else "--quick"]
    rounds = chosen.rounds if chosen.full or question != "startup" else min(chosen.rounds, FEW_ROUNDS)
    words += ["--rounds", str(rounds), "--output", str(chosen.output)]
    if question in WITH_STORES:
        words += ["--stores", *chosen.stores]
    if question in WITH_PEERS and not chosen.peers:
        words.append("--no-peers")
    return words


def run(chosen: argparse.Namespace, console: Console) -> bool:
    """Answer the chosen questions; return whether all could be answered. One that fails stops none of the others."""
    outcomes = {}
    for question in [name for name in ORDER if name in chosen.only]:
        console.rule(question)
        begun = time.monotonic()
        code = _answered(command(question, chosen))
        outcomes[question] = code
        console.print(f"{question}: {time.monotonic() - begun:.0f} s{'' if code == 0 else f', FAILED with {code}'}")
    return not any(outcomes.values())


def _answered(words: Sequence[str]) -> int:
    """Run a program to its end and return its exit code; it is told to stop where this one is."""
    with subprocess.Popen(words, cwd=ROOT) as process:
        previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, previous)


def main() -> None:
    """Read the arguments, measure, and exit with 1 if a question could not be answered."""
    made = parser(__doc__ or "", stores=True, peers=True)
    made.add_argument("--only", nargs="*", choices=ORDER, default=list(ORDER), help="which questions")
    chosen = made.parse_args()
    chosen.output = chosen.output.resolve()
    sys.exit(0 if run(chosen, Console(width=120)) else 1)


if __name__ == "__main__":
    main()

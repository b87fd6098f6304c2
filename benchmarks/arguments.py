"""The options that all benchmarks share."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.circumstances import ROOT

FOLDER = ROOT / "docs" / "benchmarks"
PEERS = ROOT / ".venv-peers"
STORES = ("sqlite", "valkey", "milvus")


def parser(description: str, *, stores: bool = False, peers: bool = False) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark.

    Args:
        description: What is measured.
        stores: Whether kinds of store can be chosen.
        peers: Whether other products take part.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    length = made.add_mutually_exclusive_group()
    length.add_argument("--quick", dest="full", action="store_false", help="small sizes and short rounds (the default)")
    length.add_argument("--full", dest="full", action="store_true", help="all sizes, long rounds")
    made.set_defaults(full=False)
    made.add_argument("--rounds", type=positive, default=5, help="rounds in which everything takes its turn")
    made.add_argument("--output", type=Path, default=FOLDER, help="folder for the JSON file")
    if stores:
        made.add_argument("--stores", nargs="*", choices=STORES, default=list(STORES), help="which kinds of store")
    if peers:
        made.add_argument("--no-peers", dest="peers", action="store_false", help="leave other products out")
    return made


def positive(text: str) -> int:
    """Return a number that is at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def parameters(chosen: argparse.Namespace, names: Sequence[str]) -> dict[str, object]:
    """Return chosen options for the report."""
    return {"length": "full" if chosen.full else "quick", **{name: getattr(chosen, name) for name in names}}

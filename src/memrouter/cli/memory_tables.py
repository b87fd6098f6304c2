"""Memories and searches as a person reads them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memrouter.doctor.findings import printable

Json = Mapping[str, Any]

SHOWN_CHARS: Final = 160
"""Characters of a content in a table or line."""

_REASONS: Final = {
    "threshold": "below the threshold",
    "gap": "behind the largest gap",
    "limit": "over the limit",
    "duplicate": "says the same as another",
    "blocked": "a block pattern matches",
    "pattern_timeout": "a block pattern ran out of time",
    "budget": "no room in the token budget",
    "algorithm": "left out by the reflection algorithm",
}


class MemoryTables:
    """Prints answers of the API: tables on a terminal, else a line for each memory with tabs between."""

    def search(self, found: Json) -> None:
        """Print what a search found; every candidate where it was explained."""
        candidates = found.get("candidates")
        if candidates is None:
            self._print(("score", "vector", "words", "created", "memory"), map(_hit, found["memories"]))
        else:
            names = list(dict.fromkeys(signal["name"] for each in candidates for signal in each["signals"]))
            columns = ("place", "rank", "score", *names, "recency", "id", "memory", "dropped")
            self._print(columns, (_candidate(each, names) for each in candidates))
        for line in _summary(found):
            typer.echo(line)

    def page(self, page: Json) -> None:
        """Print a page of memories."""
        self._print(("id", "type", "created", "memory"), map(_row, page["memories"]))
        _print_end(page)

    def quarantined(self, page: Json) -> None:
        """Print a page of quarantined memories."""
        rows = ((*_row(memory)[:3], memory["quarantine"], _shown(memory["content"])) for memory in page["memories"])
        self._print(("id", "type", "created", "rule", "memory"), rows)
        _print_end(page)

    def added(self, added: Json) -> None:
        """Print what became of memories that were to be added."""
        for outcome in added["outcomes"]:
            words = (outcome["outcome"], outcome["reason"] and f"({outcome['reason']})", outcome["id"])
            typer.echo(printable(" ".join(filter(None, words))))

    def deleted(self, deleted: Json) -> None:
        """Print what was deleted, with the receipt where there is one."""
        typer.echo(printable(deleted["message"]))
        receipt = deleted.get("receipt")
        if receipt is not None:
            typer.echo(f"receipt: {receipt['count']} at {receipt['erased_at']}, sha256 {receipt['sha256']}")

    def history(self, told: Json) -> None:
        """Print what happened to a memory, a line for each event, and then the memories that replaced one another."""
        for entry in told["history"]:
            extra = [entry["rule"] and f"({entry['rule']})", entry["ref"]]
            words = (_moment(entry["at"]), f"{entry['event']:<12}", f"by {entry['actor']:<13}", *filter(None, extra))
            typer.echo(printable("  ".join(words)))
        if len(told["chain"]) > 1:
            typer.echo("replaced one another, oldest first (*: this one, >: found now):")
        for memory in told["chain"] if len(told["chain"]) > 1 else ():
            marks = f"{'*' if memory['id'] == told['id'] else ' '}{'>' if memory['superseded_by'] is None else ' '}"
            typer.echo(f"{marks} {'  '.join((_row(memory)[0], *_row(memory)[2:]))}")

    def memory(self, memory: Json) -> None:
        """Print every field of a memory that has a value."""
        for name, value in memory.items():
            if value is not None:
                typer.echo(f"{name}: {printable(str(value))}")

    def _print(self, columns: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
        if not sys.stdout.isatty():
            for row in rows:
                typer.echo("\t".join(row))
            return
        table = Table(box=None, pad_edge=False)
        for name in columns:
            table.add_column(name, no_wrap=name not in ("memory", "dropped", "id"), overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console(highlight=False).print(table)


def _print_end(page: Json) -> None:
    typer.echo(f"{len(page['memories'])} of {page['total']}")
    if page["next_cursor"]:
        typer.echo(f"more with --cursor {page['next_cursor']}")


def _moment(at: str) -> str:
    return f"{at[:10]} {at[11:19]}"


def _hit(hit: Json) -> Sequence[str]:
    scores = (f"{hit[name]:.3f}" for name in ("score", "vector_score", "lexical_score"))
    return (*scores, hit["created_at"][:10], _shown(hit["content"]))


def _row(memory: Json) -> Sequence[str]:
    return (printable(memory["id"]), memory["type"], memory["created_at"][:10], _shown(memory["content"]))


def _candidate(candidate: Json, names: Sequence[str]) -> Sequence[str]:
    signals = {signal["name"]: signal for signal in candidate["signals"]}
    place, reason = candidate["place"], candidate["dropped"]
    return (
        "-" if place is None else str(place),
        str(candidate["rank"]),
        f"{candidate['score']:.3f}",
        *(_signal(signals.get(name)) for name in names),
        f"{candidate['recency']:.2f}",
        printable(candidate["id"]),
        _shown(candidate["content"]),
        "" if reason is None else _dropped(reason, candidate["duplicate_of"]),
    )


def _signal(signal: Json | None) -> str:
    """Return value, rank and move of a signal, such as ``0.812 #3 +2``."""
    if signal is None:
        return "-"
    value, rank, move = signal["value"], signal["rank"], signal["move"]
    parts = ("" if value is None else f"{value:.3f}", "" if rank is None else f"#{rank}", f"{move:+d}" if move else "")
    return " ".join(filter(None, parts))


def _dropped(reason: str, other: str | None) -> str:
    words = _REASONS.get(reason, reason)
    return f"{words} ({printable(other)})" if other else words


def _summary(found: Json) -> Iterator[str]:
    yield f"{len(found['memories'])} of {found['considered']} memories; threshold {found['threshold']:.3f}"
    miss = found.get("near_miss")
    if not found["memories"] and miss is not None:
        yield (
            f"nothing reached the threshold; the nearest, {printable(miss['id'])}, has {miss['score']:.3f} and fell "
            f"short by {miss['short_by']:.3f}"
        )
    elif not found["memories"] and found["best_miss"] is not None:
        short = found["threshold"] - found["best_miss"]
        yield f"nothing reached the threshold; the best has {found['best_miss']:.3f} and fell short by {short:.3f}"
    if found.get("omitted"):
        yield f"{found['omitted']} more candidates are not shown"


def _shown(content: str) -> str:
    plain = printable(content[: 4 * SHOWN_CHARS])
    return plain if len(plain) <= SHOWN_CHARS else f"{plain[:SHOWN_CHARS]}\u2026"

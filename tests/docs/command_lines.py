"""Command lines of memrouter as the documents have them: read by the real command line, some of them run."""

from functools import cache
from pathlib import Path
from typing import Any

import typer.main

from memrouter.cli.main import app as command_line

NAMES = ("memrouter", ".venv/bin/memrouter")
NOT_RUN = {
    "serve": "runs until it is stopped; tests/cli/test_serve_listener.py",
    "mcp": "runs until it is stopped; tests/cli/test_mcp_command.py",
    "demo": "plays for a minute; tests/flow",
    "doctor": "its exit status tells of this machine; tests/doctor",
    "health": "asks a router on a port of its own",
    "eval": "measures for a minute; tests/cli/test_eval_command.py",
    "index": "needs a Valkey server; tests/cli/test_index_command.py",
}
"""Commands that are read and not run, with the reason, and what runs them."""


def memrouter_words(words: list[str]) -> list[str] | None:
    """Return what a line hands to memrouter, in a container too; None where it does not call it."""
    known = _root().list_commands(_root().make_context("memrouter", [], resilient_parsing=True))
    for place in range(len(words) - 2, -1, -1):
        if words[place].rpartition("/")[2] == "memrouter" and words[place + 1] in known:
            return words[place + 1 :]
    return None


def to_run(words: list[str]) -> list[str] | None:
    """Return what a line hands to memrouter if that is run: in no container, with files of the folder it is run in."""
    if words[0] not in NAMES or words[1] in NOT_RUN or "--measure" in words:
        return None
    return None if any(Path(word).is_absolute() for word in words[1:]) else words[1:]


def read(words: list[str]) -> None:
    """Let the real command line read the words, as it would before it runs the command.

    Raises:
        Exception: It does not take them; which one is for typer to say.
    """
    command, context, rest = command_of(words)
    command.make_context(words[len(words) - len(rest) - 1], rest, parent=context)


def command_of(words: list[str]) -> tuple[Any, Any, list[str]]:
    """Return the command that words begin with, the context of its group, and the words behind its name.

    Raises:
        LookupError: There is no such command.
    """
    command, context, name, rest = _root(), None, "memrouter", list(words)
    while hasattr(command, "list_commands"):
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
        name = rest.pop(0)
        command = command.get_command(context, name)
        if command is None:
            raise LookupError(f"no command {' '.join(words[: len(words) - len(rest)])}")
    return command, context, rest


@cache
def _root() -> Any:
    return typer.main.get_command(command_line)

"""The ``memrouter`` command."""

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from memrouter import __version__
from memrouter.cli.exit_status import FAILED_EXIT
from memrouter.cli.later import Later, group_of

DEBUG_VARIABLE: Final = "MEMROUTER_DEBUG"
"""Environment variable; where it is set, an error that nobody foresaw ends a command with its traceback."""


def _in(module: str, attribute: str, text: str) -> Later:
    return Later(f"memrouter.cli.{module}", attribute, text)


# A module is imported when its command is called; the texts are the first paragraphs of the commands' own help.
COMMANDS: Final[Mapping[str, Later]] = {
    "serve": _in(
        "serve",
        "serve",
        "Run the router until SIGTERM or Ctrl-C: then finish streams and stored turns, and close the store.",
    ),
    "demo": _in("demo", "demo", "Play the main job end to end and check each step; exit 0 only if all of them held."),
    "doctor": _in(
        "doctor",
        "doctor",
        "Look at everything the router needs: what was seen, why it matters, and the command that mends it.",
    ),
    "health": _in(
        "health",
        "health",
        "Ask a running router for /ready. Exit status 0: it can serve, be it with parts degraded; 1: it cannot.",
    ),
    "mcp": _in("mcp", "mcp", "Serve memories to agents over the Model Context Protocol."),
    "export": _in(
        "export",
        "export",
        "Write memories with every field, one JSON object a line, into a file that memrouter import reads.",
    ),
    "import": _in(
        "import_",
        "import_memories",
        "Bring in memories from a file that memrouter export wrote, with every field as it was.",
    ),
    "migrate": _in("migrate", "migrate", "Move all memories from one store to another, and prove that they are there."),
    "prune": _in(
        "prune",
        "prune",
        "Remove memories that have expired, were replaced or quarantined long ago, or that nobody has needed for long.",
    ),
    "consolidate": _in(
        "consolidate",
        "consolidate",
        "Merge memories of the same user, project and type that say the same, in meaning and in words.",
    ),
    "reindex": _in(
        "reindex",
        "reindex",
        "Make all vectors anew from text with another embedding model, beside the old ones, then switch at once.",
    ),
    "size": _in(
        "size", "size", "Say what memories take in Valkey, Milvus and SQLite: memory by part, files, maxmemory, pods."
    ),
    "config": _in("config", "config_app", "Check, show and describe the configuration."),
    "eval": _in("eval", "eval_app", "Measure retrieval, thresholds, isolation and the gate. Works offline."),
    "index": _in("index", "index_app", "See, make, rebuild and drop the search index (Valkey)."),
    "keys": _in("keys", "keys_app", "API keys: make, list and revoke them. Only hashes are kept."),
    "memory": _in("memory", "memory_app", "Look at, add, correct and forget memories of one user."),
}
"""Every command by name, in the order of the list."""

app = typer.Typer(
    name="memrouter",
    cls=group_of(COMMANDS),
    help="OpenAI-compatible router with memory of each user's earlier sessions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"memrouter {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """OpenAI-compatible router with memory of each user's earlier sessions."""
    del version


def run() -> None:
    """Run the command line; what cannot be written, and what nobody foresaw, ends it with a message and status 2."""
    try:
        app()
    except OSError as error:
        place = error.filename or "the output cannot be written"
        typer.echo(f"{place}: {error.strerror or type(error).__name__}", err=True)
        raise SystemExit(FAILED_EXIT) from None
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        typer.echo(
            f"memrouter failed in a way that nobody foresaw ({_place(error)}); run it again with {DEBUG_VARIABLE}=1 "
            "to see where, and report that: the traceback holds no memories, but its last line may quote one",
            err=True,
        )
        raise SystemExit(FAILED_EXIT) from None


def _place(error: Exception) -> str:
    """Return which error it is and where it was raised, without its message, which may hold somebody's text."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"

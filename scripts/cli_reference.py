"""The reference of the command line, from the application that runs."""

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from memrouter.cli.main import app


def reference() -> str:
    """Return every command with its arguments and options, in the order of ``memrouter --help``."""
    root: Any = typer.main.get_command(app)
    return "\n".join(_command(root, None, "memrouter", level=2)).rstrip()


def _command(command: Any, parent: Any, name: str, *, level: int) -> Iterator[str]:
    context = command.make_context(name.rpartition(" ")[2], [], parent=parent, resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"{'#' * level} `{name}`", "", *_prose(command.help or ""), "```text", f"{name} {usage}", "```", "")
    for kind, heading in (("argument", "argument"), ("option", "option")):
        records = [
            parameter.get_help_record(context)
            for parameter in command.get_params(context)
            if parameter.param_type_name == kind
        ]
        rows = [_row(*record) for record in records if record is not None and not record[0].startswith("--help")]
        if rows:
            yield from (f"| {heading} | meaning |", "|---|---|", *rows, "")
    if hasattr(command, "list_commands"):
        for own in command.list_commands(context):
            yield from _command(command.get_command(context, own), context, f"{name} {own}", level=min(level + 1, 4))


def _prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; lists keep their lines."""
    for paragraph in text.replace("\b", "").strip().split("\n\n"):
        yield from (" ".join(paragraph.split()), "")


def _row(name: str, meaning: str) -> str:
    name = re.sub(r"<list\[(.*)\]>", r"<\1>", " ".join(name.split())).replace("|", ", ")
    return f"| `{name}` | {' '.join(meaning.split()).replace('|', ', ')} |"

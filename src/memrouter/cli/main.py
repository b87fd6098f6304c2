"""The ``memrouter`` command."""

from typing import Annotated

import typer

from memrouter import __version__
from memrouter.cli.config import config_app
from memrouter.cli.consolidate import consolidate
from memrouter.cli.demo import demo
from memrouter.cli.desk import FAILED_EXIT
from memrouter.cli.doctor import doctor
from memrouter.cli.eval import eval_app
from memrouter.cli.export import export
from memrouter.cli.import_ import import_memories
from memrouter.cli.index import index_app
from memrouter.cli.keys import keys_app
from memrouter.cli.mcp import mcp
from memrouter.cli.memory import memory_app
from memrouter.cli.migrate import migrate
from memrouter.cli.prune import prune
from memrouter.cli.reindex import reindex
from memrouter.cli.serve import serve

app = typer.Typer(
    name="memrouter",
    help="OpenAI-compatible router with memory of each user's earlier sessions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(demo)
app.command()(doctor)
app.command()(mcp)
app.command()(export)
app.command("import")(import_memories)
app.command()(migrate)
app.command()(prune)
app.command()(consolidate)
app.command()(reindex)
app.add_typer(config_app, name="config")
app.add_typer(eval_app, name="eval")
app.add_typer(index_app, name="index")
app.add_typer(keys_app, name="keys")
app.add_typer(memory_app, name="memory")


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
    """Run the command line; a report that cannot be written ends it with a message and exit status 2."""
    try:
        app()
    except OSError as error:
        typer.echo(f"the output cannot be written: {error.strerror or error}", err=True)
        raise SystemExit(FAILED_EXIT) from None

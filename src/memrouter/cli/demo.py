"""``memrouter demo``: the story, against a real upstream."""

import asyncio
import importlib.util
from typing import Annotated, Literal

import typer
from rich.console import Console

from memrouter.errors import MemrouterError, MissingExtra


def demo(
    store: Annotated[
        Literal["sqlite", "valkey"], typer.Option(help="Where memories live; a Valkey is started for the story.")
    ] = "sqlite",
) -> None:
    """Play the main job end to end and check each step; exit 0 only if all of them held."""
    console = Console(highlight=False)
    try:
        for package in ("openai", "llm_katan"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtra("memrouter demo", "demo")
        from memrouter.demo.main import play

        held = asyncio.run(play(console, store=store))
    except MemrouterError as error:
        console.print(str(error), style="bold red", markup=False)
        raise typer.Exit(1) from error
    console.print(f"\n[bold green]All {held} steps held.[/] Nothing was left running, and nothing was left on disk.")

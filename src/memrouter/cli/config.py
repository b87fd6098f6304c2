"""``memrouter config``: check a configuration file, show what it means, print its schema."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from memrouter.cli.exit_status import FAILED_EXIT
from memrouter.cli.options import JsonOption
from memrouter.config.load import Loaded, load_settings
from memrouter.config.schema import settings_schema
from memrouter.config.show import settings_tree, settings_yaml
from memrouter.errors import ConfigError

config_app = typer.Typer(no_args_is_help=True, help="Check, show and describe the configuration.")


@config_app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="The configuration file.")],
    as_json: JsonOption = False,
) -> None:
    """Check a configuration file; every problem is listed, and the exit status is then 2."""
    loaded = _load(file, as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"valid": True, "warnings": list(map(str, loaded.warnings)), "problems": []}))
        return
    _line(f"{file}: valid", style="green")
    for warning in loaded.warnings:
        _line(f"{file}: warning: {warning}", style="yellow")


@config_app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="The configuration file; without one, the defaults.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the settings in effect, defaults included and secrets hidden, as YAML."""
    loaded = _load(file, as_json=as_json)
    for warning in loaded.warnings:
        _line(f"warning: {warning}", style="yellow", err=True)
    if as_json:
        _document(json.dumps(settings_tree(loaded.settings), indent=2, ensure_ascii=False), "json")
    else:
        _document(settings_yaml(loaded.settings), "yaml")


@config_app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and other tools."""
    _document(json.dumps(settings_schema(), indent=2, ensure_ascii=False), "json")


def _load(file: Path | None, *, as_json: bool) -> Loaded:
    try:
        return load_settings(file, env=os.environ)
    except ConfigError as error:
        if as_json:
            problems = [asdict(problem) for problem in error.problems]
            typer.echo(json.dumps({"valid": False, "warnings": [], "problems": problems}))
            raise typer.Exit(FAILED_EXIT) from None
        for problem in error.problems:
            _line(str(problem), style="red", err=True)
        raise typer.Exit(FAILED_EXIT) from None


def _line(text: str, *, style: str, err: bool = False) -> None:
    """Print one line, coloured on a terminal, never cut or wrapped by us."""
    if (sys.stderr if err else sys.stdout).isatty():
        Console(stderr=err).print(Text(text, style=style), soft_wrap=True)
    else:
        typer.echo(text, err=err)


def _document(text: str, language: str) -> None:
    if sys.stdout.isatty():
        Console().print(Syntax(text, language, background_color="default"), soft_wrap=True)
    else:
        typer.echo(text.rstrip("\n"))

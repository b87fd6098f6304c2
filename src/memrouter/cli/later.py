"""Commands whose modules are imported when they are called for, so that help and short commands answer at once."""

import copy
import importlib
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer.core
import typer.main


@dataclass(frozen=True, slots=True)
class Later:
    """Where a command is, and what the list of commands says of it.

    Attributes:
        module: Name of its module.
        attribute: The function, or the ``typer.Typer`` of a group, in that module.
        help: First paragraph of its help, as one line.
    """

    module: str
    attribute: str
    help: str


class _Commands(UserDict[str, Any]):
    """Commands by name; those that come later are made when they are first asked for."""

    def __getitem__(self, name: str) -> Any:
        command = super().__getitem__(name)
        if isinstance(command, Later):
            command = self.data[name] = _made(name, command)
        return command

    def listed(self) -> dict[str, Any]:
        """Return the commands; of those that come later only what a list says."""
        return {name: _listed(name, held) if isinstance(held, Later) else held for name, held in self.data.items()}


def _made(name: str, later: Later) -> Any:
    found = getattr(importlib.import_module(later.module), later.attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


def _listed(name: str, later: Later) -> Any:
    return typer.core.TyperCommand(name=name, help=later.help, callback=None)


def group_of(commands: Mapping[str, Later]) -> type[typer.core.TyperGroup]:
    """Return the class of a group that has ``commands``, for ``typer.Typer(cls=...)``."""

    class LaterGroup(typer.core.TyperGroup):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self.commands: Any = _Commands({**commands, **self.commands})

        def format_help(self, ctx: Any, formatter: Any) -> None:
            """See ``TyperGroup``; imports no command."""
            typer.core.TyperGroup.format_help(self._listing(), ctx, formatter)

        def shell_complete(self, ctx: Any, incomplete: str) -> Any:
            """See ``TyperGroup``; imports no command."""
            listing, asked = self._listing(), copy.copy(ctx)
            asked.command = listing
            return typer.core.TyperGroup.shell_complete(listing, asked, incomplete)

        def _listing(self) -> Any:
            listing = copy.copy(self)
            listing.commands = self.commands.listed()
            return listing

    return LaterGroup

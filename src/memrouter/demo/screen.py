"""How the demo prints: headings, what was said, what the model received, and whether each step held."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from memrouter.demo.processes import DemoError


class Screen:
    """Prints the story and keeps count of the steps that held.

    Args:
        console: Where to print.

    Attributes:
        held: Number of steps that held so far.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.held = 0

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self._console.print()
        self._console.rule(f"[bold]{escape(title)}", align="left")

    def says(self, who: str, text: str) -> None:
        """Show what somebody says."""
        self._console.print(f"[bold cyan]{escape(who)}:[/] {escape(text)}")

    def received(self, messages: list[dict[str, Any]]) -> None:
        """Show the exact messages that the model server received."""
        text = "\n".join(
            f"[bold]{escape(message['role'])}:[/] {escape(str(message['content']))}" for message in messages
        )
        self._console.print(Panel(text, title="what the model received", title_align="left", expand=False))

    def headers(self, headers: Mapping[str, str]) -> None:
        """Show the router's headers of an answer."""
        for name in sorted(headers):
            if name.startswith(("x-memory-", "x-vsr-", "x-router-")):
                self._console.print(f"  [dim]{escape(name)}:[/] {escape(headers[name])}")

    def check(self, claim: str, held: bool) -> None:
        """Show a step; end the story where it does not hold.

        Raises:
            DemoError: ``held`` is false.
        """
        if not held:
            self._console.print(f"  [bold red]✗ {escape(claim)}")
            msg = f"this step did not hold: {claim}"
            raise DemoError(msg)
        self.held += 1
        self._console.print(f"  [green]✓[/] {escape(claim)}")

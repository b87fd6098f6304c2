"""Bars on the terminal for long pieces of work."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft

from memrouter.doctor.findings import printable


class Bars:
    """Satisfies ``memrouter.transfer.progress.Progress``: a bar on stderr where that is a terminal.

    What has to be told is written to stderr in any case.
    """

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeLeft())
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bars = Progress(*columns, console=self._console, disable=not sys.stderr.isatty())
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        self._bars.stop()

    def begin(self, task: str, *, total: int | None) -> None:
        """Start a bar under the one before."""
        self._task = self._bars.add_task(task, total=total)

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.update(self._task, advance=count)

    def say(self, text: str) -> None:
        """Write a line."""
        self._console.print(printable(text))

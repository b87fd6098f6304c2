"""Options that many commands have."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The router's configuration file; without one, the defaults.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]

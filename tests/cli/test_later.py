"""Commands are imported when they are called for; lists and completions say what their own help says."""

import inspect
import subprocess
import sys
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from memrouter.cli.main import COMMANDS, app

HEAVY = ("fastapi", "aiohttp", "numpy", "pydantic", "tokenizers", "prometheus_client", "yaml")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_s_own_help_says(name: str) -> None:
    group: Any = typer.main.get_command(app)
    command = group.commands[name]
    first, *_ = inspect.cleandoc(command.help).split("\n\n")
    assert COMMANDS[name].help == " ".join(first.split())
    assert command.name == name


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom memrouter.cli.main import run\n"
        f"sys.argv = ['memrouter', *{arguments!r}]\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command() -> None:
    listed = CliRunner().invoke(app, ["--help"]).output
    assert all(name in listed for name in COMMANDS)


def test_an_unknown_command_is_refused_with_the_nearest_name() -> None:
    done = CliRunner().invoke(app, ["serv"])
    assert done.exit_code == 2
    assert "serve" in done.output


@pytest.mark.parametrize(("words", "offered"), [("memrouter ser", "serve"), ("memrouter keys cr", "create")])
def test_the_shell_completes_commands_and_those_of_groups(words: str, offered: str) -> None:
    asked = {"_MEMROUTER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = CliRunner().invoke(app, [], env=asked, prog_name="memrouter")
    assert offered in done.output.split()

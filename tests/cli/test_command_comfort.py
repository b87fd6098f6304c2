"""What every command has in common: JSON, completion, plain output where nobody looks, an end without a traceback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from memrouter.cli import main
from memrouter.cli.exit_status import FAILED_EXIT

WITHOUT_JSON = {
    "serve": "runs until it is stopped; its log is its output",
    "demo": "a story for people",
    "mcp": "speaks MCP",
    "config schema": "prints JSON as it is",
    **dict.fromkeys(("index create", "index drop", "index rebuild", "keys revoke"), "changes one thing and reads none"),
}
COMMAND = Path(sys.executable).with_name("memrouter")


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(main.app)))


def in_bash(script: str, **env: str) -> str:
    bash = shutil.which("bash")
    assert bash, "the test needs bash"
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def completed(*lines: tuple[str, ...]) -> list[set[str]]:
    """Return what bash offers at the end of each of some command lines."""
    script = "source <(_MEMROUTER_COMPLETE=source_bash memrouter)\ncomplete -p memrouter >/dev/null || exit\n"
    for words in lines:
        typed = " ".join(f"'{word}'" for word in words)
        script += f"COMP_WORDS=(memrouter {typed}); COMP_CWORD={len(words)}; _memrouter_completion memrouter\n"
        script += 'echo "${COMPREPLY[@]}"\n'
    return [set(line.split()) for line in in_bash(script).splitlines()]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_speaks_json_or_says_why_not(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON), WITHOUT_JSON.get(name, "has no --json")


def test_bash_completes_commands_of_groups_and_options() -> None:
    lines = (("m",), ("memory", "sup"), ("import", "--k"), ("import", "--from", ""))
    of_commands, of_a_group, of_options, of_values = completed(*lines)
    assert {"memory", "mcp", "migrate"} <= of_commands
    assert of_a_group == {"supersede"}
    assert "--keep-projects" in of_options
    assert of_values == {"mem0", "redis-ams"}


def test_output_into_a_file_has_no_colours_and_no_bars() -> None:
    for words in ("--help", "config show", "size --memories 1000 --dimension 256"):
        assert "\x1b" not in in_bash(f"memrouter {words}"), words


def test_an_unknown_command_names_the_nearest_one() -> None:
    done = subprocess.run([COMMAND, "memroy"], capture_output=True, text=True, check=False)
    assert done.returncode == FAILED_EXIT
    assert "memory" in done.stderr


def test_what_nobody_foresaw_ends_without_a_traceback_and_without_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise LookupError("I am allergic to peanuts")

    monkeypatch.setattr(main, "app", fails)
    monkeypatch.delenv(main.DEBUG_VARIABLE, raising=False)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == FAILED_EXIT
    said = capsys.readouterr().err
    assert "LookupError at test_command_comfort.py:" in said
    assert "peanuts" not in said
    monkeypatch.setenv(main.DEBUG_VARIABLE, "1")
    with pytest.raises(LookupError):
        main.run()

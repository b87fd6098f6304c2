"""Every command in the documents is one that its program takes, or at least its shell."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from memrouter.demo.processes import echo_upstream

from .command_lines import NAMES, memrouter_words, read
from .fences import ROOT, SHELL, Fence, commands, of_kind

OURS = {"make", "curl", ".venv/bin/llm-katan", ".venv/bin/python", ".venv/bin/pytest", *NAMES}
ELSEWHERE = {
    "docker", "kubectl", "helm", "systemctl", "systemd-sysusers", "systemd-tmpfiles", "systemd-analyze",
    "journalctl", "promtool", "py-spy", "sudo", "valkey-cli", "valkey-server", "nslookup", "nc", "openssl", "grep",
    "pip", "python", "python3", "sh", "cd", "cp", "mv", "rm", "mkdir", "chmod", "chown", "install", "export", "echo",
    "cat", "tar", "umask", "sleep", "ln",
}  # fmt: skip
"""Programs that other machines have: the shell takes the line, and files of this repository that it names exist."""

MADE = ("deploy/compose/secrets", "deploy/kubernetes/secrets")
"""What a command of the documents makes, or its reader."""

_OWN_FILE = re.compile(r"(?:^|[=@:])(?:\./)?((?:benchmarks|deploy|docs|examples|requirements|scripts|tests)/.*[./].*)")


def installed(program: str) -> str:
    """Return the folder of a program that is named by its absolute path."""
    return program[: program.rindex("/") + 1] if program.startswith("/") else ""


@pytest.mark.parametrize("fence", of_kind(*SHELL), ids=str)
def test_every_program_in_a_shell_block_is_one_that_is_checked(fence: Fence) -> None:
    used = {words[0].removeprefix(installed(words[0])) for words in commands(fence.text)}
    assert used <= OURS | ELSEWHERE


def test_no_command_hides_in_a_block_that_is_not_checked() -> None:
    for fence in of_kind("text"):
        if fence.page != "cli.md":  # the usage of each command
            hidden = [line for line in fence.text.splitlines() if line.partition(" ")[0] in OURS | ELSEWHERE]
            assert hidden == [], fence


def test_every_shell_block_is_one_that_the_shell_can_read() -> None:
    for fence in of_kind(*SHELL):
        read = subprocess.run(["bash", "-n"], input=fence.text.encode(), capture_output=True, check=False)
        assert (read.returncode, read.stderr) == (0, b""), f"{fence}: {read.stderr.decode()}"


def refusal(words: list[str]) -> str:
    try:
        read(words)
    except Exception as error:  # noqa: BLE001 - typer has a class of its own for every mistake
        return str(error) or repr(error)
    return ""


def test_every_memrouter_command_is_read_by_the_real_command_line() -> None:
    refused: dict[str, str] = {}
    for fence in of_kind(*SHELL):
        for words in commands(fence.text):
            line = memrouter_words(words)
            assert line is not None or words[0] not in NAMES, f"{fence}: {words}"
            if line is not None:
                refused[f"{fence}: {' '.join(words)}"] = refusal(line)
    assert len(refused) > 50
    assert {line: why for line, why in refused.items() if why} == {}


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["memory", "list", "--user", "alice", "--colour"], "No such option"),
        (["memory", "lost"], "no command memory lost"),
        (["prune", "--user"], "requires an argument"),
        (["eval", "locomo", "--limit", "none"], "valid integer"),
    ],
)
def test_a_command_line_that_memrouter_does_not_take_is_noticed(words: list[str], wrong: str) -> None:
    assert wrong in refusal(words)


def test_files_of_this_repository_that_commands_name_exist() -> None:
    for fence in of_kind(*SHELL):
        for words in commands(fence.text):
            for word in words[1:]:
                found = _OWN_FILE.search(word)
                known = found is None or found[1].startswith(MADE) or (ROOT / found[1]).exists()
                assert known, f"{fence}: {word}"


def test_targets_and_programs_of_this_repository_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for fence in of_kind(*SHELL):
        for words in commands(fence.text):
            match words:
                case ["make", *rest]:
                    assert {word for word in rest if "=" not in word} <= targets, fence
                case [".venv/bin/llm-katan", *rest]:
                    known = echo_upstream(8000, Path())
                    assert [word for word in rest if word.startswith("--") and word not in known] == [], fence
                case [".venv/bin/python" | ".venv/bin/pytest", path, *_] if not path.startswith("-"):
                    assert (ROOT / path).exists(), fence


def test_yaml_of_other_programs_can_be_read() -> None:
    for fence in of_kind("yaml other"):
        assert list(yaml.safe_load_all(fence.text)), fence

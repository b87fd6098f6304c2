"""How commands end where something is wrong."""

import pytest
import typer

from memrouter.cli.desk import run_to_end
from memrouter.cli.exit_status import FAILED_EXIT, INTERRUPTED_EXIT
from memrouter.errors import ConfigError, ConfigProblem, StoreUnavailable

AGAIN = "run it again"


def problem(key: str) -> ConfigProblem:
    return ConfigProblem(file="router.yaml", line=3, key=key, found="x\x1b[2J", allowed="y")


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (ConfigError([problem("a.b"), problem("c.d")]), FAILED_EXIT, ["a.b", "c.d"]),
        (StoreUnavailable("the server is down"), FAILED_EXIT, [f"the server is down; {AGAIN}"]),
        (OSError("no space"), FAILED_EXIT, [f"no space; {AGAIN}"]),
        (OSError(28, "No space left on device"), FAILED_EXIT, [f"No space left on device; {AGAIN}"]),
        (IsADirectoryError(21, "Is a directory", "d\x1b"), FAILED_EXIT, ["Is a directory"]),
        (KeyboardInterrupt(), INTERRUPTED_EXIT, [f"interrupted; {AGAIN}"]),
    ],
    ids=["configuration", "store", "file", "disk", "folder", "interrupted"],
)
def test_an_error_ends_the_command_with_a_line_for_each_problem(
    error: BaseException, status: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(typer.Exit) as end:
        run_to_end(work, again=AGAIN)
    told = capsys.readouterr()
    assert (end.value.exit_code, told.out) == (status, "")
    assert [expected in line for expected, line in zip(lines, told.err.splitlines(), strict=True)] == [True] * len(
        lines
    )
    assert "\x1b" not in told.err

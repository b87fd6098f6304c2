"""How workers are started; tests/flow has whole routers of several processes."""

import subprocess
from pathlib import Path

from memrouter import __version__
from memrouter.cli.workers.supervisor import worker_command


def test_a_worker_takes_no_module_from_the_working_directory(tmp_path: Path) -> None:
    for name in ("memrouter", "csv", "numpy", "typer"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the working directory')\n")
    done = subprocess.run(worker_command(["--version"]), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, __version__ in done.stdout) == (0, True), done.stderr

"""The wheel alone is enough: commands run from an installed one, away from the source."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, and with the packages that this one has."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("memrouter-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    packages = next((folder / "venv").glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin" / "python"


def run(python: Path, folder: Path, *words: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MEMROUTER_", "PYTHON"))}
    done = subprocess.run([python, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_demo_plays_from_an_installed_wheel(python: Path, tmp_path: Path) -> None:
    where = run(python, tmp_path, "-c", "import memrouter; print(memrouter.__file__)")
    assert str(python.parent.parent) in where
    assert "memory" in run(python, tmp_path, "-m", "memrouter", "demo").lower()


def test_the_wheel_has_all_files_that_the_source_has(python: Path) -> None:
    [packages] = (python.parent.parent / "lib").glob("python*/site-packages")
    for path in (ROOT / "src" / "memrouter").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (packages / "memrouter" / path.relative_to(ROOT / "src" / "memrouter")).is_file(), path

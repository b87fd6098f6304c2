"""deploy/docker builds what is pinned, and what it builds runs as nobody."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from memrouter import __version__
from memrouter.config.load import load_settings

from .places import DEPLOY, ROOT

FOLDER = DEPLOY / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
EXTRAS = ("valkey", "milvus", "jwt", "mcp", "otel")
_PIN = re.compile(r"([\w.-]+)==(\S+)")


def instructions(name: str) -> list[str]:
    whole = DOCKERFILE.replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in whole.splitlines() if line.startswith(f"{name} ")]


def pins(*files: Path) -> dict[str, str]:
    lines = [line for file in files for line in file.read_text().splitlines()]
    return {canonicalize_name(found[1]): found[2] for line in lines if (found := _PIN.fullmatch(line))}


def closure(wanted: Iterable[Requirement]) -> set[str]:
    """Return the packages that requirements bring in, by what is installed here."""
    waiting, seen = list(wanted), set()
    while waiting:
        one = waiting.pop()
        known = (canonicalize_name(one.name), frozenset(one.extras))
        if known in seen or not applies(one, ()):
            continue
        seen.add(known)
        for text in importlib.metadata.distribution(one.name).requires or ():
            further = Requirement(text)
            if applies(further, one.extras):
                further.marker = None
                waiting.append(further)
    return {name for name, _ in seen}


def applies(one: Requirement, extras: Iterable[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_exactly_what_the_extras_need_in_the_versions_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for extra in EXTRAS for text in project["optional-dependencies"][extra])]
    installed = pins(ROOT / "requirements" / "runtime.txt", FOLDER / "requirements.txt")
    assert closure(map(Requirement, texts)) - set(installed) == set()
    beside = set(pins(FOLDER / "requirements.txt"))
    assert beside <= closure(map(Requirement, texts))
    tested = pins(ROOT / "requirements" / "runtime.txt", ROOT / "requirements" / "dev.txt")
    assert installed.items() <= tested.items()


def test_the_wheel_is_built_with_what_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    needed = closure(map(Requirement, project["requires"]))
    tested = pins(ROOT / "requirements" / "runtime.txt", ROOT / "requirements" / "dev.txt")
    built = pins(FOLDER / "build.txt")
    assert needed == set(built)
    assert built.items() <= tested.items()


def test_every_package_comes_with_its_version() -> None:
    installs = re.findall(r"pip install ([^&\n]*)", DOCKERFILE.replace("\\\n", " "))
    assert len(installs) == 3
    assert all("--no-deps" in words for words in installs)


def test_the_builder_sees_what_is_copied_and_no_more() -> None:
    rules = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert rules[1] == "*"
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    sources = [
        source.rstrip("/")
        for line in instructions("COPY")
        if "--from" not in line
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    ]
    for source in sources:
        assert any(fnmatch(source, rule) or fnmatch(rule, f"{source}/*") for rule in let_in), source
        assert list(ROOT.glob(source)), source
    for rule in let_in:
        assert any(fnmatch(rule, source) or rule.startswith(f"{source}/") for source in sources), rule


def test_the_process_is_nobody_and_is_the_first_to_hear_signals() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["memrouter"]
    assert json.loads(instructions("CMD")[0]) == ["serve", "--config", "/etc/memrouter/router.yaml"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["memrouter", "health"]')


def test_versions_are_those_of_the_package_and_of_the_tests() -> None:
    assert f"VERSION={__version__}" in instructions("ARG")
    image = next(line.partition("=")[2] for line in instructions("ARG") if line.startswith("PYTHON_IMAGE"))
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image)
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {image.split(':')[1].rsplit('.', 1)[0]}" in classifiers


def test_the_configuration_in_the_image_loads() -> None:
    loaded = load_settings(FOLDER / "router.yaml", env={"MEMROUTER_UPSTREAM": "http://127.0.0.1:9/v1"})
    assert loaded.warnings == ()
    settings = loaded.settings
    assert (settings.listeners[0].address, settings.listeners[0].port) == ("0.0.0.0", 8888)  # noqa: S104 - in a container
    assert settings.global_.stores.memory.sqlite.path.startswith("/data/")
    assert settings.global_.auth.mode == "api_key"


def test_the_wheel_builds_as_in_the_image_and_carries_its_data(tmp_path: Path) -> None:
    command = next(re.findall(r"pip wheel ([^&]*)", line)[0] for line in instructions("RUN") if "pip wheel" in line)
    words = [str(tmp_path) if word == "dist" else word for word in command.split()]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_NO_INDEX": "1"}
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *words], cwd=ROOT, check=True, capture_output=True, env=environment
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"memrouter-{__version__}-")
    packed = set(zipfile.ZipFile(wheel).namelist())
    kept = [path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*") if path.is_file()]
    assert {str(path) for path in kept if "__pycache__" not in path.parts} <= packed


def test_the_bundled_embedder_is_in_its_package() -> None:
    names = [str(path) for path in importlib.metadata.files("wordllama") or ()]
    assert {Path(name).suffix for name in names} >= {".safetensors", ".json"}


@pytest.mark.parametrize("source", ["deploy/docker/router.yaml", "requirements/runtime.txt", "src/memrouter/clock.py"])
def test_what_is_copied_is_not_left_out_by_the_ignore_file(source: str) -> None:
    rules = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()[1:]
    seen = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        if fnmatch(source, pattern) or source.startswith(f"{pattern}/"):
            seen = rule.startswith("!")
    assert seen

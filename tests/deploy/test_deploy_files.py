"""Whatever lies in deploy/ is written as strictly as its programs read it, or more so."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .charts import Chart
from .compose import project
from .manifests import build, pods
from .places import DEPLOY, kubernetes_folder
from .pod_security import PINNED

MOST_LETTERS = 120
LONG = {"start.sh", "values.schema.json", "NOTES.txt", "README.md"}  # a rule, a description, a command, a table row


def files(*endings: str) -> list[Path]:
    """Return our files in deploy/, but for those of others and what nobody keeps in git."""
    found = [path for path in DEPLOY.rglob("*") if path.is_file() and not path.is_symlink()]
    ours = [path for path in found if not {"monitoring", "secrets"} & set(path.relative_to(DEPLOY).parts)]
    return sorted(path for path in ours if not endings or path.suffix in endings)


def name(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


class Strict(yaml.SafeLoader):
    """Reads YAML without keys that occur twice, and without words that other readers take for true or false."""


def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    assert len(keys) == len(set(keys)), f"a key occurs twice: {keys}{node.start_mark}"
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


def truth(loader: Strict, node: yaml.ScalarNode) -> bool:
    assert node.value in ("true", "false"), f"{node.value} is text for some and a truth for others{node.start_mark}"
    return loader.construct_yaml_bool(node)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
Strict.add_constructor("tag:yaml.org,2002:bool", truth)


@pytest.mark.parametrize("path", files(), ids=name)
def test_lines_are_clean(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text.splitlines():
        assert line == line.rstrip(), line
        assert "\t" not in line, line
        assert len(line) <= MOST_LETTERS or path.name in LONG or "required" in line, line


@pytest.mark.parametrize("path", [one for one in files(".yaml") if "templates" not in one.parts], ids=name)
def test_yaml_means_one_thing(path: Path) -> None:
    assert list(yaml.load_all(path.read_text(), Loader=Strict))


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: yes", "a: {b: on}"])
def test_yaml_that_means_two_things_would_be_noticed(text: str) -> None:
    with pytest.raises(AssertionError):
        yaml.load(text, Loader=Strict)  # noqa: S506 - a SafeLoader that refuses more


def test_what_the_chart_renders_means_one_thing() -> None:
    for text in Chart(DEPLOY / "helm" / "memrouter").render({}).values():
        list(yaml.load_all(text, Loader=Strict) if text.startswith(("api", "\napi", "#")) else ())


@pytest.mark.parametrize("path", files(".sh"), ids=name)
def test_scripts_can_be_read_and_stop_at_the_first_failure(path: Path) -> None:
    subprocess.run(["sh", "-n", path], check=True)
    text = path.read_text()
    assert text.startswith("#!/bin/sh\n")
    assert re.search("^set -eu$", text, re.MULTILINE)
    assert path.stat().st_mode & 0o111


def images(folder: Path) -> Iterator[str]:
    for one in [*build(kubernetes_folder(folder)), *Chart(DEPLOY / "helm" / "memrouter").objects()]:
        yield from (container["image"] for spec in pods([one]) for container in spec["containers"])
    yield from (service["image"] for service in project()["services"].values())


def test_every_image_is_pinned_and_the_same_everywhere(tmp_path: Path) -> None:
    found = set(images(tmp_path))
    assert all(PINNED.fullmatch(image) for image in found)
    assert len({image.partition(":")[0] for image in found}) == len(found)


def test_links_of_the_chart_point_at_what_is_deployed_elsewhere() -> None:
    folder = DEPLOY / "helm" / "memrouter" / "files"
    assert {path.name: path.resolve().relative_to(DEPLOY) for path in folder.iterdir()} == {
        "valkey": Path("valkey"),
        "rules": Path("monitoring/prometheus/rules"),
    }

"""Reflection algorithms by name, of memrouter, of a program and of installed packages."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from memrouter.config.extensions import REFLECTION_ALGORITHMS, REFLECTION_GROUP, installed_names
from memrouter.config.memory import ReflectionSettings
from memrouter.errors import ConfigError
from memrouter.memory.hits import Hit
from memrouter.memory.reflection.drops import Selection
from memrouter.memory.reflection.recency_semantic import recency_semantic
from memrouter.memory.reflection.reflection_algorithms import BUILT_IN, ReflectionAlgorithms

from ..hits import NOW, hit

MODULE = """
from memrouter.memory.reflection.drops import Selection

def last_first(hits, settings, *, now):
    return Selection(tuple(reversed(hits)))

number = 7
"""
ENTRY_POINTS = """[memrouter.reflection]
last_first = greenhouse:last_first
number = greenhouse:number
gone = greenhouse:gone
recency_semantic = greenhouse:last_first
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that offers algorithms, good and bad."""
    (tmp_path / "greenhouse.py").write_text(MODULE)
    about = tmp_path / "greenhouse-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: greenhouse\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


def own(hits: Sequence[Hit], settings: ReflectionSettings, *, now: int) -> Selection:
    return Selection(tuple(hits[:1]))


def test_the_names_that_the_configuration_knows_are_those_that_exist() -> None:
    assert set(REFLECTION_ALGORITHMS) == set(BUILT_IN)


def test_the_go_router_s_names_mean_what_they_mean_there() -> None:
    assert ReflectionAlgorithms().find("heuristic") is recency_semantic
    hits = (hit("b"), hit("a"))
    assert ReflectionAlgorithms().find("noop")(hits, ReflectionSettings(), now=NOW).kept == hits


@pytest.mark.usefixtures("package")
def test_an_installed_package_brings_an_algorithm_by_name() -> None:
    assert installed_names(REFLECTION_GROUP) >= {"last_first", "number", "gone"}
    found = ReflectionAlgorithms().find("last_first")
    hits = (hit("a"), hit("b"))
    assert found(hits, ReflectionSettings(), now=NOW).kept == hits[::-1]


@pytest.mark.usefixtures("package")
def test_memrouter_s_own_names_cannot_be_taken_by_a_package() -> None:
    assert ReflectionAlgorithms().find("recency_semantic") is recency_semantic


def test_a_program_can_give_its_own() -> None:
    assert ReflectionAlgorithms({"own": own}).find("own") is own


@pytest.mark.usefixtures("package")
def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"heuristic \| last_first \| noop .* recency_semantic"):
        ReflectionAlgorithms({"own": own}).find("recency")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("name", "why"), [("gone", "cannot be loaded"), ("number", "cannot be called")])
def test_an_entry_point_that_is_no_algorithm_is_refused(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ReflectionAlgorithms().find(name)

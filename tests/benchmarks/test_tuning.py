"""What the measurement of indexes is made of, and a small run of it against a real server."""

import argparse
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from benchmarks.index_cells import Bench, Cell, K, keys_of
from benchmarks.page import BEGIN, END, GUIDES, pages, with_figures
from benchmarks.populations import BETWEEN, LARGE, USUAL, Population, Question, memory_id, row_of, user_sizes
from benchmarks.sampling import Spread
from benchmarks.tuning_tables import cells, sheets, sizes, widths

from benchmarks import tuning
from memrouter.config.memory import ValkeySettings
from memrouter.stores.valkey.connection import Connection

from .programs import answered

DOCS = Path(__file__).parents[2] / "docs"
OPTIONS = (
    *("--sizes", "300", "--cells", "4:20", "--samples", "2", "--questions", "10"),
    *("--ef-runtime", "20", "40"),
)


def chosen(folder: Path, *options: str) -> argparse.Namespace:
    return tuning.completed(tuning.options().parse_args([*OPTIONS, "--output", str(folder), *options]))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small run."""
    folder = tmp_path_factory.mktemp("tuning")
    answered("tuning", folder, *OPTIONS)
    return folder


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "tuning.json").read_text(encoding="utf-8"))
    return found


def test_a_run_tells_recall_time_memory_and_build_of_every_index(measured: Path) -> None:
    figures = content(measured)["figures"]
    for cell in ("flat", "m4.ef20"):
        for what in (
            "build_s",
            "build_cpu_s",
            "index_mb",
            "user100.recall",
            "user100.p50_ms",
            "store100.p99_ms",
            "load",
        ):
            assert figures[f"s300.{cell}.{what}"]["rounds"] >= 1, (cell, what)
    assert figures["s300.flat.everybody.ef0.recall"]["low"] == 1.0
    assert figures["s300.flat.user100.recall"]["low"] == 1.0
    assert {"s300.m4.ef20.everybody.ef20.recall", "s300.m4.ef20.everybody.ef40.recall"} <= set(figures)


def test_a_run_draws_its_pictures_and_fills_its_tables(measured: Path) -> None:
    found = content(measured)
    for image in found["images"]:
        assert "<svg" in (measured / image).read_text(encoding="utf-8")
    assert len(found["images"]) == 3
    for table in found["tables"]:
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_a_finished_cell_is_not_measured_again(measured: Path) -> None:
    report = tuning.begun(chosen(measured, "--resume"))
    assert tuning.missing(300, [Cell(4, 20)], report) == []
    assert tuning.missing(300, [Cell(4, 20), Cell(8, 20)], report) == [Cell(8, 20)]
    assert tuning.missing(400, [Cell(4, 20)], report) == [Cell(4, 20)]


def test_a_run_with_other_questions_is_not_taken_up(measured: Path) -> None:
    with pytest.raises(SystemExit, match="questions"):
        tuning.begun(chosen(measured, "--resume", "--questions", "11"))


def test_a_run_that_is_not_taken_up_begins_with_nothing(measured: Path) -> None:
    assert tuning.begun(chosen(measured)).figures == {}


def test_cells_with_the_same_links_are_measured_together() -> None:
    given = [Cell(8, 64), Cell(8, 128), Cell(16, 64)]
    assert tuning.grouped(given) == [given[:2], given[2:]]
    assert tuning.grouped([]) == [[]]


@pytest.mark.parametrize("memories", [100, 300, 10_000, 100_000])
def test_users_have_all_memories_between_them(memories: int) -> None:
    assert sum(user_sizes(memories)) == memories
    assert set(user_sizes(memories)) <= {USUAL, LARGE, *BETWEEN}


async def test_a_population_is_the_same_on_every_run() -> None:
    one, other = [await Population.make(200, 300) for _ in range(2)]
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert one.vectors.shape == (200, 300)
    np.testing.assert_allclose(np.linalg.norm(one.vectors, axis=1), 1, atol=1e-5)
    assert [question.user for question in await one.questions(100, 9)] == [
        question.user for question in await other.questions(100, 9)
    ]


async def test_records_stand_in_the_row_that_their_id_names() -> None:
    population = await Population.make(200, 256)
    records = [record for part in population.records() for record in part]
    assert [row_of(f"p:{{owner}}:{record.id}".encode()) for record in records] == list(range(200))
    assert {record.user_id for record in records[population.rows(1)]} == {"user1"}
    for row in (0, 150, 199):
        np.testing.assert_array_equal(records[row].embedding, population.vectors[row])


class Answering:
    """A connection whose server always gives the same rows."""

    def __init__(self, rows: list[int]) -> None:
        self._reply = [len(rows), {f"p:{{o}}:{memory_id(row)}".encode(): {} for row in rows}]

    async def run(self, _: object) -> list[Any]:
        return self._reply


async def test_recall_is_the_share_of_the_nearest_that_were_found() -> None:
    population = await Population.make(200, 256)
    question = Question(0, population.vectors[3])
    nearest = [int(row) for row in np.argsort(-(population.vectors @ question.vector))]
    for rows, share in ((nearest[:K], 1.0), (nearest[: K - 3], 0.7), ([*nearest[: K - 3], *nearest[-3:]], 0.7)):
        bench = Bench(cast("Connection", Answering(rows)), ValkeySettings(), population)
        found = await bench.recall(Cell(), [question] * 5, everybody=True, ef=0)
        assert found.median == pytest.approx(share)


@pytest.mark.parametrize(
    "reply",
    [[2, {b"a": {}, b"b": {}}], [2, {b"a": {}}, {b"b": {}}], [2, b"a", [b"x", b"1"], b"b", []], [2, b"a", b"b"]],
)
def test_keys_are_read_from_every_form_of_a_reply(reply: list[Any]) -> None:
    assert keys_of(reply) == [b"a", b"b"]


def test_tables_are_made_from_figures_alone(measured: Path) -> None:
    figures = {name: Spread(**spread) for name, spread in content(measured)["figures"].items()}
    assert (sizes(figures), cells(figures, 300), widths(figures)) == ([300], ["flat", "m4.ef20"], [20, 40])
    figures["s300.flat.load"] = Spread.of([1.0])
    figures["s300.m4.ef20.load"] = Spread.of([9.0])
    first = sheets(figures)[0]
    assert [row[0] for row in first.rows] == ["FLAT", "M 4, EF 20 *"]
    assert "other work" in first.note


def test_the_figures_of_a_guide_stand_between_its_marks(measured: Path) -> None:
    guide = f"# Tuning\n\nAdvice.\n\n{BEGIN}\nold\n{END}\n\nMore.\n"
    filled = with_figures(guide, content(measured))
    assert filled.startswith("# Tuning\n\nAdvice.\n")
    assert filled.endswith(f"{END}\n\nMore.\n")
    assert "old" not in filled
    assert "| FLAT" in filled
    assert with_figures(filled, content(measured)) == filled


@pytest.mark.parametrize("question", GUIDES)
def test_the_guides_in_the_documents_hold_what_their_figures_make(question: str) -> None:
    wanted = pages(DOCS / "benchmarks", DOCS / "benchmarks.md")
    guide = DOCS / f"{question}.md"
    assert guide.read_text(encoding="utf-8") == wanted[guide]

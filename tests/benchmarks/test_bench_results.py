"""Every benchmark runs and writes what the page is made of."""

import re
from pathlib import Path

import pytest
from benchmarks.page import QUESTIONS, load, render
from benchmarks.targets import TARGETS

from .conftest import TINY, Results

EXPECTED = {
    "overhead": {"whole.sqlite.1.added_p50_ms", "streamed.sqlite.2.added_first_token_ms", "whole.direct.2.rate"},
    "retrieval": {"sqlite.s100.warm.ratio", "sqlite.one100.cold.p50_ms", "sqlite.growth.s300.warm"},
    "writes": {"turns.sqlite.turn.p50_ms", "sqlite.one.service.ratio", "sqlite.bulk.store.rate"},
    "growth": {"sqlite.growth.s300.cold", "soak.router.mb_per_hour", "soak.model.rss_mb"},
    "embedding": {"wordllama.1.rate", "package.3.p50_ms", "hash.3.rate"},
    "startup": {"plain.ready_s", "sqlite.ready_s", "sqlite.rss_mb"},
}


def test_every_question_has_a_benchmark_of_its_own() -> None:
    assert set(QUESTIONS) == set(TINY) == set(EXPECTED)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_figures_of_a_question_are_there_with_their_spread(results: Results, question: str) -> None:
    figures = results.of(question)["figures"]
    assert set(figures) >= EXPECTED[question]
    for name, figure in figures.items():
        assert figure["low"] <= figure["median"] <= figure["high"], name
        assert figure["rounds"] >= 1


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_result_tells_machine_versions_date_revision_and_parameters(results: Results, question: str) -> None:
    content = results.of(question)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", content["date"])
    assert content["machine"]["cores"] >= 1
    assert {"memrouter", "python", "numpy"} <= set(content["versions"])
    assert content["revision"]
    assert content["parameters"]["rounds"] == 1


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_row_of_a_table_has_a_cell_for_every_column(results: Results, question: str) -> None:
    tables = results.of(question)["tables"]
    assert tables
    for table in tables:
        assert table["rows"]
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_memories_are_recalled_while_their_cost_is_measured(results: Results) -> None:
    table = results.of("overhead")["tables"][0]
    shown = {row[0]: row[table["columns"].index("recalled")] for row in table["rows"]}
    assert shown == {"direct, no router": "", "memrouter: SQLite": "100%"}


def test_the_soak_has_all_kinds_of_traffic_and_a_picture(results: Results) -> None:
    note = results.of("growth")["tables"][-1]["note"]
    assert all(kind in note for kind in ("streamed", "whole", "hung up", "status 500", "cut off"))
    assert (results.folder / "soak.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_what_cannot_be_measured_is_named_with_the_reason(results: Results) -> None:
    assert "memrouter[bert]" in results.of("embedding")["failures"]["embedder bert"]


def test_the_page_holds_every_table_and_every_target(results: Results) -> None:
    tables = {question: results.of(question)["tables"] for question in QUESTIONS}
    page = render(load(results.folder))
    for question in QUESTIONS:
        for table in tables[question]:
            assert table["title"][1:] in page
    for target in TARGETS:
        assert f"| {target.name} |" in page


def test_the_page_in_the_documents_is_what_its_figures_make() -> None:
    docs = Path(__file__).parents[2] / "docs"
    assert (docs / "benchmarks.md").read_text(encoding="utf-8") == render(load(docs / "benchmarks"))

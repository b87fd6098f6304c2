"""The generated parts hold what they are made from."""

import importlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .fences import ROOT


@pytest.fixture(scope="module")
def scripts() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield patch


@pytest.fixture
def figure_tables(scripts: pytest.MonkeyPatch) -> ModuleType:
    return importlib.import_module("figure_tables")


@pytest.fixture
def api_reference(scripts: pytest.MonkeyPatch) -> ModuleType:
    return importlib.import_module("api_reference")


def spread(median: float) -> dict[str, float]:
    return {"median": median, "low": median - 1, "high": median + 1}


def written(folder: Path, question: str, figures: dict[str, Any], servers: dict[str, str]) -> None:
    machine = {"cores": 2, "processor": "a processor"}
    report = {"date": "2026-01-01 00:00 UTC", "machine": machine, "servers": servers, "figures": figures}
    (folder / f"{question}.json").write_text(json.dumps(report), encoding="utf-8")


def test_stores_stand_beside_each_other_with_median_and_range(figure_tables: ModuleType, tmp_path: Path) -> None:
    figures = {"sqlite.s10000.cold.p50_ms": spread(2), "valkey.s10000.cold.p50_ms": spread(3.456)}
    written(tmp_path, "retrieval", figures, {"valkey": "Valkey 9.1"})
    written(tmp_path, "writes", {"milvus.bulk.store.rate": spread(4321)}, {"milvus": "Milvus 2.3"})
    lines = figure_tables.stores(tmp_path).splitlines()
    first = "| a user's first question, 10,000 memories in all | 2.00 ms (1.00 to 3.00) | 3.46 ms (2.46 to 4.46) |  |"
    assert lines[2:4] == [first, "| memories written at once |  |  | 4,321 /s (4,320 to 4,322) |"]
    assert "2 cores (a processor). Milvus is Milvus 2.3. Valkey is Valkey 9.1." in lines[-1]


def test_what_a_router_adds_stands_beside_another_product(figure_tables: ModuleType, tmp_path: Path) -> None:
    figures = {"whole.sqlite.1.added_p50_ms": spread(2.5), "whole.litellm.1.added_p50_ms": spread(12)}
    written(tmp_path, "overhead", figures, {})
    lines = figure_tables.speed(tmp_path).splitlines()
    assert lines[2:4] == [
        "| added to an answer, 1 client |  | 2.50 ms (1.50 to 3.50) |  | 12.00 ms (11.00 to 13.00) |",
        "",
    ]


@pytest.mark.parametrize("table", ["stores", "speed"])
def test_without_figures_the_page_says_how_to_get_them(figure_tables: ModuleType, table: str, tmp_path: Path) -> None:
    assert "make bench" in getattr(figure_tables, table)(tmp_path)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/MemoryView"}, "[MemoryView](#memoryview)"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": ["boolean", "null"]}, "boolean or null"),
        ({"enum": ["asc", True, None]}, "`asc` or `true` or `null`"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1.0, "maximum": 9.0}}, "list of integer, 1 to 9"),
        ({"type": "array", "items": {"type": "object"}, "minItems": 1}, "list of object, at least 1 of them"),
        ({"type": "string", "minLength": 1}, "string, not empty"),
        ({"type": "string", "maxLength": 64}, "string, up to 64 characters"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "mapping to integer"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({}, "anything"),
    ],
)
def test_a_schema_becomes_words(api_reference: ModuleType, schema: dict[str, Any], words: str) -> None:
    assert api_reference._form(schema) == words


def test_every_route_of_the_description_is_in_the_reference() -> None:
    described = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "api-reference.md").read_text(encoding="utf-8")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            section = page.partition(f"\n### `{method.upper()} {path}`\n")[2].partition("\n### ")[0]
            assert operation["summary"] in section
            assert [name for p in operation.get("parameters", []) if (name := f"`{p['name']}`") not in section] == []
            assert [status for status in operation["responses"] if status.isdigit() and status not in section] == []


def test_the_picture_is_well_formed_and_can_be_read_aloud() -> None:
    root = ET.parse(ROOT / "docs" / "images" / "request-flow.svg").getroot()  # noqa: S314 - our own file
    texts = {child.tag.rpartition("}")[2]: child.text for child in root if child.get("id")}
    assert root.get("aria-labelledby") == "flow-title flow-text"
    assert set(texts) == {"title", "desc"}
    assert all(texts.values())

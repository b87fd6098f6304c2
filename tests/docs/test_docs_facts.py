"""What the documents say about the source is true: names, links, messages, codes, generated parts."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import memrouter
from memrouter.api.body import _CODES
from memrouter.api.errors import _RULES, _UNEXPECTED
from memrouter.embeddings.fastembed import _INFO as BERT
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.embeddings.wordllama import _INFO as WORDLLAMA
from memrouter.models.turn import MemoryStatus

from .command_lines import command_of
from .fences import PAGES, ROOT

PACKAGE = ROOT / "src" / "memrouter"
DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_FILE = re.compile(r"(?<![\w/])(?P<path>(?:[a-z_]+/)+[a-z_]+\.py)\b")


def page_name(page: Path) -> str:
    return page.name


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def make_docs() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        spec.loader.exec_module(module)
        yield module


def anchors(page: Path) -> set[str]:
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def templates() -> list[list[str]]:
    """Return every text in the source as its fixed pieces, between which values are put in."""
    found: list[list[str]] = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
                found.append(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.split(r"%[sd]", node.value))
    return found


def quoted_messages() -> list[str]:
    """Return the messages that the tables of symptoms quote, which hold a blank and are no header or fact."""
    tables = text_of(DOCS / "troubleshooting.md")
    symptoms = [line.split(" | ")[0] for line in tables.splitlines() if line.startswith("| ")]
    quoted = [message for symptom in symptoms for message in re.findall(r"(?<!`)(`+)(?!`)(.+?)\1(?!`)", symptom)]
    found = [text.strip() for _, text in quoted if " " in text]
    return [text for text in found if not text.startswith(("x-", "memrouter "))]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    for found in _LINK.finditer(text_of(page)):
        if "://" in found["target"]:
            continue
        target = (page.parent / found["target"]).resolve() if found["target"] else page
        assert target.exists(), found[0]
        assert not found["anchor"] or found["anchor"] in anchors(target), found[0]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    for found in _FILE.finditer(text_of(page)):
        path = found["path"]
        if path not in ("src/memrouter/a/b.py", "tests/a/test_b.py"):
            assert (PACKAGE / path).is_file() or (ROOT / path).is_file(), path


def test_generated_parts_are_as_the_source_has_them(make_docs: ModuleType) -> None:
    for page, text in make_docs.pages().items():
        kept = text_of(page) if page.exists() else ""
        assert kept == text, f"{page.name} is stale; run: .venv/bin/python scripts/make_docs.py"


def test_words_of_the_generator_belong_to_keys_that_exist(make_docs: ModuleType) -> None:
    assert set(make_docs.MEANINGS) <= make_docs.key_paths()


def test_every_error_code_is_in_the_api_page_beside_its_status() -> None:
    rows = [line for line in text_of(DOCS / "api.md").splitlines() if re.match(r"\| \d{3}", line)]
    for rule in (*_RULES.values(), _UNEXPECTED):
        assert any(f"`{rule.code}`" in row and str(rule.status) in row.split("|")[1] for row in rows), rule.code


def test_every_finer_code_of_a_bad_request_is_in_the_api_page() -> None:
    raised = {
        code
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in ("client", "integrations", "mcp")  # no HTTP error comes from these
        for code in re.findall(r'InvalidRequest\([^()]*(?:\([^()]*\)[^()]*)*code="(\w+)"', text_of(path))
    }
    listed = set(re.findall(r"`(\w+)`", text_of(DOCS / "api.md").partition("Finer codes of status 400:")[2]))
    assert listed == raised | set(_CODES.values()) | {"invalid_value"}


@pytest.mark.parametrize("page", ["concepts.md", "troubleshooting.md"])
def test_every_memory_status_has_a_row(page: str) -> None:
    for status in MemoryStatus:
        assert f"| `{status}` |" in text_of(DOCS / page)


def test_every_header_of_the_api_page_is_known_to_the_source() -> None:
    section = text_of(DOCS / "api.md").partition("## Headers")[2].partition("\n## ")[0]
    headers = set(re.findall(r"^\| `(x-[a-z-]+)", section, re.MULTILINE))
    source = "".join(text_of(path) for path in PACKAGE.rglob("*.py"))
    assert len(headers) == 12
    assert [header for header in headers if f'"{header}"' not in source] == []


def test_there_are_quoted_messages() -> None:
    assert len(quoted_messages()) >= 40


@pytest.mark.parametrize("message", quoted_messages())
def test_a_quoted_message_is_one_that_the_source_can_give(message: str) -> None:
    pieces = [piece.strip() for piece in message.split("…") if piece.strip(" `")]
    known = templates()
    for piece in pieces:
        assert any(piece.strip("; ") in part for parts in known for part in parts), piece


def test_every_option_of_serve_is_in_the_operations_page() -> None:
    command, _, _ = command_of(["serve"])
    page = text_of(DOCS / "operations.md")
    for parameter in command.params:
        assert [option for option in parameter.opts if f"`{option}`" not in page] == []


@pytest.mark.parametrize("info", [WORDLLAMA, BERT, HashEmbedder().info], ids=lambda info: info.model)
def test_dimension_and_threshold_of_each_embedder_are_in_the_memory_page(info: object) -> None:
    assert f"| {info.dimension} | {info.default_threshold} |" in text_of(DOCS / "memory.md")  # type: ignore[attr-defined]


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    newest = re.search(r"^## \[(?P<version>[^]]+)\]", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest["version"] == memrouter.__version__

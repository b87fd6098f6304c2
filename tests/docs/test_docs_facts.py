"""What the documents say about the source is true: names, links, messages, codes, generated parts."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

import memrouter
from memrouter.api.body import _CODES
from memrouter.api.errors import _RULES, _UNEXPECTED
from memrouter.cli.main import app as command_line
from memrouter.embeddings.fastembed import _INFO as BERT
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.embeddings.wordllama import _INFO as WORDLLAMA
from memrouter.models.turn import MemoryStatus

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "memrouter"
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
_LINK = re.compile(r"\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_FILE = re.compile(r"(?<![\w/])(?P<path>(?:[a-z_]+/)+[a-z_]+\.py)\b")


def page_name(page: Path) -> str:
    return page.name


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def make_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def templates() -> list[list[str]]:
    """Return every text in the source as its fixed pieces, between which values are put in."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
                found.append(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.split(r"%[sd]", node.value))
    return found


def quoted_messages() -> list[str]:
    """Return the messages that the table of symptoms quotes, which hold a blank and are no header or fact."""
    table = text_of(DOCS / "operations.md").partition("## Troubleshooting")[2]
    symptoms = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")][1:]
    quoted = [re.search(r"`(.+)`", symptom) for symptom in symptoms]
    return [found[1].strip("` ") for found in quoted if found and " " in found[1] and not found[1].startswith("x-")]


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
        assert text_of(page) == text, f"{page.name} is stale; run: .venv/bin/python scripts/make_docs.py"


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


def test_every_memory_status_has_a_row_in_the_readme() -> None:
    for status in MemoryStatus:
        assert f"| `{status}` |" in text_of(ROOT / "README.md")


def test_every_header_in_the_readme_is_known_to_the_source() -> None:
    headers = set(re.findall(r"^\| `(x-[a-z-]+)", text_of(ROOT / "README.md"), re.MULTILINE))
    source = "".join(text_of(path) for path in PACKAGE.rglob("*.py"))
    assert len(headers) == 12
    assert [header for header in headers if f'"{header}"' not in source] == []


def test_there_are_quoted_messages() -> None:
    assert len(quoted_messages()) >= 12


@pytest.mark.parametrize("message", quoted_messages())
def test_a_quoted_message_is_one_that_the_source_can_give(message: str) -> None:
    pieces = [piece.strip() for piece in message.split("…") if piece.strip(" `")]
    known = templates()
    for piece in pieces:
        assert any(piece.strip("; ") in part for parts in known for part in parts), piece


def test_every_option_of_serve_is_in_the_operations_page() -> None:
    command = typer.main.get_command(command_line).commands["serve"]  # type: ignore[attr-defined]  # a click group
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

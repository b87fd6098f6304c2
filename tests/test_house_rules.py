"""Rules of the house that a reviewer would otherwise repeat: import direction, sizes, purity, docstrings."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "memrouter"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A layer may import itself and what stands below it, never what stands above or beside it.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__", "__init__"}),
    frozenset({"cli"}),
    frozenset({"inspector"}),
    frozenset({"demo", "doctor", "evaluation", "integrations"}),
    frozenset({"sizing"}),
    frozenset({"api", "embedded"}),
    frozenset({"mcp"}),
    frozenset({"runtime"}),
    frozenset({"wiring"}),
    frozenset({"router", "jobs", "transfer"}),
    frozenset({"testing"}),
    frozenset({"memory"}),
    frozenset({"stores", "embeddings", "rerankers", "upstream"}),
    frozenset({"client", "config", "observability"}),
    frozenset({"models"}),
    frozenset({"errors", "clock"}),
)
CLOCK_READERS = {"clock.py"}
ENVIRONMENT_READERS = {"cli", "demo"}


def layer(name: str) -> int:
    return next(index for index, names in enumerate(LAYERS) if name in names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("memrouter."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("memrouter.")}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_data_flow(path: Path) -> None:
    here = room(path)
    for other in imported_rooms(ast.parse(path.read_text())):
        allowed = other == here or layer(other) > layer(here)
        assert allowed, f"{path.relative_to(ROOT)} imports memrouter.{other}, against the flow"
        assert other != "testing" or here == "testing", f"{path.relative_to(ROOT)} ships but imports testing"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 600, f"{path.relative_to(ROOT)}: split it by its nouns"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= 80, f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {size} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_clock_module_reads_a_clock(path: Path) -> None:
    if path.name in CLOCK_READERS or room(path) in {"demo", "testing"}:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read = f"{node.value.id}.{node.attr}"
            assert not re.fullmatch(r"time\.(time|time_ns|monotonic|perf_counter)|datetime\.(now|utcnow)", read), (
                f"{path.relative_to(ROOT)}:{node.lineno} reads {read}; take a Clock"
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_entry_points_read_the_environment(path: Path) -> None:
    if room(path) in ENVIRONMENT_READERS:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in {"environ", "getenv"}, (
                f"{path.relative_to(ROOT)}:{node.lineno} reads the environment"
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_silenced_check_names_its_code_and_a_reason(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        comment = re.search(r"#\s*(?:type:\s*ignore|noqa)(?P<rest>.*)$", line)
        if comment:
            assert re.match(r"(\[[a-z-]+\]|: ?[A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*)\s+[-#].{8,}", comment["rest"]), (
                f"{path.relative_to(ROOT)}:{number} must name the code and say why"
            )


def test_importing_the_package_opens_nothing_and_loads_no_driver() -> None:
    program = (
        "import sys, memrouter; "
        "heavy = {'sqlite3', 'numpy', 'aiohttp', 'fastapi', 'uvicorn', 'tokenizers', 'pydantic'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_no_file_names_a_package_host_or_a_machine_path() -> None:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    needles = [b"pypi" + b".org", b"files.python" + b"hosted", b"--index" + b"-url", b"/work" + b"/", b"/ro" + b"ot/"]
    for name in listed.stdout.decode().split("\n"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        content = path.read_bytes()
        for needle in needles:
            assert needle not in content, f"{name} names {needle.decode()}"

"""The site builds without a warning, every link in it leads somewhere, and no page loads from another server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import memrouter

from .fences import ROOT

BUILD = ROOT / "scripts" / "build_site.py"
CHECK = ROOT / "scripts" / "check_site.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "0.0.9").mkdir()  # a version that was built before
    built = run(str(BUILD), "--to", str(folder))
    assert built.returncode == 0, built.stderr
    return folder


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def current_version(site: Path) -> Path:
    return site / memrouter.__version__


def test_every_document_is_a_page_of_the_navigation(site: Path) -> None:
    current = current_version(site)
    front = (current / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert (current / f"{page.stem}.html").is_file(), page.name
        assert f'href="{page.stem}.html"' in front, f"{page.name} is not in the navigation of mkdocs.yml"


def test_the_site_has_the_version_of_the_package_beside_older_ones(site: Path) -> None:
    page = (current_version(site) / "api.html").read_text(encoding="utf-8")
    versions = (site / "versions.json").read_text(encoding="utf-8")
    assert re.findall(r'"version": "([^"]+)"', versions) == [memrouter.__version__, "0.0.9"]
    assert f"url={memrouter.__version__}/index.html" in (site / "index.html").read_text(encoding="utf-8")
    assert f"memrouter {memrouter.__version__}" in page


def test_fences_of_our_own_kinds_are_code_on_the_site(site: Path) -> None:
    for page in current_version(site).glob("*.html"):
        assert "```" not in page.read_text(encoding="utf-8"), page.name


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ('<a href="other.html">x</a>', "leads nowhere: other.html"),
        ('<a href="#there">x</a><p id="here">', "no such anchor: #there"),
        ('<img src="picture.svg" alt="a picture">', "leads nowhere: picture.svg"),
        ('<img src="page.html">', "a picture has no alternative text: page.html"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js from another server"),
    ],
)
def test_a_broken_page_is_noticed(page: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    checked = run(str(CHECK), str(tmp_path))
    assert (checked.returncode, checked.stderr) == (1, f"page.html: {problem}\n")


def test_links_to_other_servers_and_right_ones_pass(tmp_path: Path) -> None:
    links = "".join(f'<a href="{url}">x</a>' for url in ("page.html#a-b", "https://example.org/", "/page.html"))
    (tmp_path / "page.html").write_text(f'<h1 id="a-b">x</h1>{links}', encoding="utf-8")
    assert run(str(CHECK), str(tmp_path)).returncode == 0

"""Hooks of ``mkdocs.yml``: pages that are plain Markdown on a code host become pages of the site without a change.

* In code in a table ``\\|`` stands for ``|``, as on code hosts.
* The second word behind a fence (``sh error``) is for the tests and is left out.
* ``CHANGELOG.md`` and ``CONTRIBUTING.md`` become pages.
* Links to other files of the repository lead to copies of them.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_FENCE = re.compile(r"^( *```[a-z]+) [^\n]+$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^\|.*\\\|.*$", re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).+?\1(?!`)")
_LINK = re.compile(r"\]\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")

log = get_plugin_logger("site_hooks")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the version of the package below every page."""
    config.copyright = f"memrouter {package_version()} · {config.copyright}"
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages and files from outside the folder of documents that pages link to."""
    for name, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_text(encoding="utf-8")))
    for file in list(files.documentation_pages()):
        for path in _outside(file):
            if files.get_file_from_path(path) is None and (ROOT / path).is_file() and path not in PAGES:
                files.append(File.generated(config, _copy(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrite links that leave the folder of documents, and fences of a kind that only the tests know."""
    here = _source(page.file)

    def moved(found: re.Match[str]) -> str:
        folder = posixpath.dirname(page.file.src_uri) or "."
        path = posixpath.relpath(_in_site(_target(here, found["target"])), folder)
        return f"]({path}{found['anchor'] or ''})"

    markdown = _TABLE_ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0]), markdown)
    return _LINK.sub(moved, _FENCE.sub(r"\1", markdown))


def package_version() -> str:
    """Return the version of memrouter, read without importing it."""
    source = (ROOT / "src" / "memrouter" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(?P<version>[^"]+)"$', source, re.MULTILINE)
    if found is None:
        raise SystemExit("src/memrouter/__init__.py has no __version__")
    return found["version"]


def _outside(file: File) -> list[str]:
    targets = [_target(_source(file), found["target"]) for found in _LINK.finditer(file.content_string)]
    return [target for target in targets if not target.startswith("docs/")]


def _source(file: File) -> str:
    """Return the path in the repository of the file that a page is made from."""
    names = {uri: name for name, uri in PAGES.items()}
    return names.get(file.src_uri, f"docs/{file.src_uri}")


def _target(here: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), link))


def _in_site(path: str) -> str:
    """Return the path in the site of a file of the repository."""
    if path == "README.md":
        return "index.md"
    return PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else _copy(path))


def _copy(path: str) -> str:
    return f"repository/{path}{'.txt' if path.endswith(('.md', '.html')) else ''}"

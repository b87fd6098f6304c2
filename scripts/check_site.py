"""Finds broken links, anchors and pictures in a built site, and whatever a page would load from another server.

Links to other servers are not followed: whether they answer says nothing about this site.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {*((tag, "src") for tag in ("script", "img", "iframe", "source")), ("link", "href"), ("object", "data")}
_NOT_LOADED_RELS = {"canonical", "next", "prev", "edit"}
_STYLE_URL = re.compile(r"url\(\s*['\"]?(?P<url>[^'\")]+)|@import\s+['\"](?P<import>[^'\"]+)")


@dataclass
class PageLinks(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    pictures_without_text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element refers to."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values and tag != "meta"}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "img" and not values.get("alt"):
            self.pictures_without_text.append(values.get("src", ""))
        for name, value in values.items():
            if (tag, name) in _LOADED and not _NOT_LOADED_RELS & set(values.get("rel", "").split()):
                self.loads.append(value)


def problems(site: Path) -> list[str]:
    """Return what is wrong, one line a problem, by page."""
    pages = {page: _read(page) for page in sorted(site.rglob("*.html"))}
    found = [f"{page.relative_to(site)}: {problem}" for page in pages for problem in _of_page(page, site, pages)]
    for style in sorted(site.rglob("*.css")):
        urls = [match["url"] or match["import"] for match in _STYLE_URL.finditer(style.read_text(encoding="utf-8"))]
        found += [f"{style.relative_to(site)}: loads {url}" for url in urls if urlsplit(url).netloc]
    return found


def _read(page: Path) -> PageLinks:
    links = PageLinks()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def _of_page(page: Path, site: Path, pages: dict[Path, PageLinks]) -> Iterator[str]:
    links = pages[page]
    yield from (f"a picture has no alternative text: {source}" for source in links.pictures_without_text)
    yield from (f"loads {url} from another server" for url in links.loads if urlsplit(url).netloc)
    for url in dict.fromkeys([*links.links, *links.loads]):
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            continue
        target = _file(page, site, unquote(parts.path))
        anchor = unquote(parts.fragment)
        if not target.is_file():
            yield f"leads nowhere: {url}"
        elif anchor and target in pages and anchor not in pages[target].anchors:
            yield f"no such anchor: {url}"


def _file(page: Path, site: Path, path: str) -> Path:
    start = site if path.startswith("/") else page.parent
    target = (start / path.lstrip("/")).resolve() if path else page
    return target / "index.html" if target.is_dir() else target


if __name__ == "__main__":
    broken = problems(Path(sys.argv[1]).resolve())
    sys.stderr.writelines(f"{line}\n" for line in broken)
    sys.exit(1 if broken else 0)

"""Builds the documents as a site and checks every link: ``site/<version>/``, beside the versions built before.

``site/versions.json`` is what the selector of versions on each page reads; ``site/index.html`` leads to this version.
The exit status is 1 where the build warns, a link is broken, or a page would load something from another server.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from check_site import problems
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort
from site_hooks import ROOT, package_version

_VERSION = re.compile(r"\d+(?:\.\d+)*\S*")
_REDIRECT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>memrouter</title>
<meta http-equiv="refresh" content="0; url={version}/index.html"></head>
<body><a href="{version}/index.html">memrouter {version}</a></body></html>
"""


def main(arguments: list[str]) -> int:
    """Build, check and say where the site is; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--to", type=Path, default=ROOT / "site", help="folder of all versions (default: site/)")
    site = parser.parse_args(arguments).to.resolve()
    version = package_version()
    try:
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(site / version)))
    except Abort as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    _write_versions(site, version)
    broken = problems(site / version)
    sys.stderr.writelines(f"{line}\n" for line in broken)
    sys.stdout.write(f"{site / version / 'index.html'}: {len(broken)} problems\n")
    return 1 if broken else 0


def _write_versions(site: Path, current: str) -> None:
    names = {path.name for path in site.iterdir() if path.is_dir() and _VERSION.fullmatch(path.name)}
    listed = [{"version": name, "title": name, "aliases": []} for name in sorted(names, key=_order, reverse=True)]
    (site / "versions.json").write_text(json.dumps(listed), encoding="utf-8")
    (site / "index.html").write_text(_REDIRECT.format(version=current), encoding="utf-8")


def _order(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.split(".")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

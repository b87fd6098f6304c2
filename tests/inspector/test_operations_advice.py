"""What operators are advised: for every check of ``/ready``, with a place in the documentation that is there."""

from pathlib import Path

import pytest

from memrouter.api.app import open_access, readiness_checks
from memrouter.inspector.operations.advice import advice_for, title_of

from .in_process import Inspected

DOCS = Path(__file__).parents[2] / "docs"


def headings() -> set[tuple[str, str]]:
    """Return every page's title with each of its headings."""
    found = set()
    for page in DOCS.glob("*.md"):
        lines = [line for line in page.read_text().splitlines() if line.startswith("#")]
        found |= {(lines[0].lstrip("# "), line.lstrip("# ")) for line in lines}
    return found


@pytest.mark.parametrize(
    "check", ["accepting_requests", "identity", "memory_store", "embedder", "upstream", "memory_migration"]
)
def test_advice_names_a_place_in_the_documentation(check: str) -> None:
    advice = advice_for(check)
    assert advice.documentation in headings()
    assert advice.means
    assert advice.do


async def test_every_check_has_a_title_of_its_own(desk: Inspected) -> None:
    names = [check.name for check in readiness_checks(desk.runtime, open_access(desk.runtime))]
    titles = {title_of(name) for name in names}
    assert len(titles) == len(names)
    assert not any("_" in title for title in titles)

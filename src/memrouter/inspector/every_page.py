"""All pages of the inspector."""

from memrouter.inspector.memories.pages import memory_pages
from memrouter.inspector.operations.pages import operations_pages
from memrouter.inspector.visit import Desk, Page


def every_page(desk: Desk) -> list[Page]:
    """Return the pages of people, then those of operators."""
    return [*memory_pages(desk), *operations_pages(desk)]

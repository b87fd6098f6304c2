"""The pages of a person, put together."""

from memrouter.api.app import memory_search
from memrouter.inspector.memories.correcting import correcting_pages
from memrouter.inspector.memories.listing import Listing
from memrouter.inspector.memories.looking import looking_pages
from memrouter.inspector.memories.own_data import own_data_pages
from memrouter.inspector.memories.why import why_pages
from memrouter.inspector.visit import Desk, Page


def memory_pages(desk: Desk) -> list[Page]:
    """Return the pages; where memory is switched off they say so."""
    service, search = desk.runtime.memory, memory_search(desk.runtime)
    listing = None if service is None else Listing(service, search)
    return [
        *looking_pages(listing),
        *correcting_pages(),
        *why_pages(search),
        *own_data_pages(desk.runtime.settings.memory.limits),
    ]

"""Looking at memories: the list, one memory with its history, and what is in quarantine. Changes nothing."""

from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.responses import Response

from memrouter.api.caller import memory_off
from memrouter.api.memory_access import checked_id
from memrouter.api.memory_history import HistoryView
from memrouter.api.memory_views import MemoryView
from memrouter.errors import NotFound
from memrouter.inspector.memories.listing import MAX_FOUND, MAX_READ, PAGE, Listing, Manner, Order, State, Wanted
from memrouter.inspector.visit import HOME, Page, Visit
from memrouter.models.memory import MemoryType, Source

MEMORY: Final = "/ui/memory"
QUARANTINE: Final = "/ui/quarantine"


def looking_pages(listing: Listing | None) -> list[Page]:
    """Return the pages; ``listing`` is None where memory is switched off."""
    return [
        Page(HOME, partial(_list, listing)),
        Page(MEMORY, _one),
        Page(QUARANTINE, _quarantine),
    ]


async def _list(listing: Listing | None, visit: Visit) -> Response:
    if listing is None:
        raise memory_off()
    scope, asked = visit.owner, visit.request.query_params
    wanted = Wanted.read(asked)
    listed = await listing.page(scope, wanted)
    first_look = not wanted.is_filtered and not wanted.after
    stats = await visit.memory.stats(scope) if first_look else None
    held = await visit.memory.list(scope, quarantined=True, limit=1) if first_look else None
    return await visit.render(
        "memories/list.html",
        wanted=wanted,
        listed=listed,
        stats=stats,
        held=0 if held is None else held.total,
        following=_with(asked, after=listed.next) if listed.next else "",
        first=_with(asked, after="") if wanted.after else "",
        nearest=_with(asked, nearest="1"),
        exact=_with(asked, by=Manner.WORDS, nearest=""),
        page_size=PAGE,
        most_found=MAX_FOUND,
        most_read=MAX_READ,
        **choices(),
    )


async def _one(visit: Visit) -> Response:
    scope, memory_id = visit.owner, checked_id(visit.asked("id"))
    memory = MemoryView.of(await visit.memory.get(scope, memory_id))
    corrections = visit.memory.corrections
    history = HistoryView.of(
        memory_id, await corrections.history(scope, memory_id), await corrections.chain(scope, memory_id)
    )
    return await visit.render(
        "memories/one.html",
        memory=memory,
        history=history,
        undoable=await _undoable(visit, memory),
    )


async def _undoable(visit: Visit, memory: MemoryView) -> bool:
    """Return whether a replacement may be taken back here: this memory was replaced, or replaced one still kept."""
    if memory.superseded_by is not None:
        return True
    for name in memory.links:
        try:
            linked = await visit.memory.get(visit.owner, name)
        except NotFound:
            continue
        if linked.superseded_by == memory.id:
            return True
    return False


async def _quarantine(visit: Visit) -> Response:
    page = await visit.memory.list(visit.owner, quarantined=True, limit=PAGE, cursor=visit.asked("after") or None)
    return await visit.render(
        "memories/quarantine.html",
        memories=[MemoryView.of(record) for record in page.records],
        total=page.total,
        following=f"{QUARANTINE}?{urlencode({'after': page.next.encode()})}" if page.next else "",
        first=QUARANTINE if visit.asked("after") else "",
    )


def choices() -> dict[str, Any]:
    """Return what forms offer to choose from."""
    return {
        "all_types": list(MemoryType),
        "all_sources": list(Source),
        "all_states": list(State),
        "all_orders": list(Order),
        "all_manners": list(Manner),
    }


def _with(asked: QueryParams, **changed: str) -> str:
    """Return the address of the list with some of its parameters changed; an empty one is left out."""
    kept = [(name, value) for name, value in asked.multi_items() if name not in changed and value and name != "notice"]
    return f"{HOME}?{urlencode([*kept, *((name, value) for name, value in changed.items() if value)])}"

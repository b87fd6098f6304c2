"""The list of memories: what is filtered and sorted here agrees with a plain reading of everything."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio
from starlette.datastructures import QueryParams

from memrouter.api.app import memory_search
from memrouter.errors import InvalidRequest
from memrouter.inspector.memories.listing import PAGE, Listed, Listing, Manner, Order, State, Wanted
from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Source

from .in_process import Inspected

ANNA = Scope("canary-listing")
KINDS = tuple(MemoryType)
WORDS = ("red", "green", "Blue", "STRASSE")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(desk: Inspected) -> AsyncIterator[MemoryService]:
    """Memories of all kinds, two of them replaced, some pinned."""
    memory = desk.runtime.memory
    assert memory is not None
    drafts = [
        MemoryDraft(
            content=f"note {number} about a {WORDS[number % 4]} thing",
            type=KINDS[number % 3],
            source=Source.API if number % 2 else Source.CONVERSATION,
            importance=(number * 37 % 100) / 100,
            conversation_id=f"talk {number % 5}",
        )
        for number in range(60)
    ]
    records = await memory.remember(ANNA, drafts)
    for record in records[:7]:
        await memory.edit(ANNA, record.id, MemoryEdit(pinned=True))
    for record in records[10:12]:
        await memory.corrections.supersede(ANNA, record.id, f"{record.content}, corrected")
    await memory.count_access(ANNA, [records[20].id])
    yield memory
    await memory.forget_all(ANNA)


@pytest.fixture
def listing(desk: Inspected, service: MemoryService) -> Listing:
    return Listing(service, memory_search(desk.runtime))


async def every(service: MemoryService) -> Sequence[MemoryRecord]:
    return (await service.list(ANNA, limit=1000, include_superseded=True)).records


async def pages(listing: Listing, **wanted: Any) -> tuple[list[str], Listed]:
    """Return the ids on all pages, in order, and the first page."""
    ids: list[str] = []
    first: Listed | None = None
    after = ""
    while True:
        page = await listing.page(ANNA, Wanted(**wanted, after=after))
        first = first or page
        assert len(page.memories) <= PAGE
        ids += [memory.id for memory in page.memories]
        after = page.next
        if not after:
            return ids, first


FILTERS: dict[str, tuple[dict[str, Any], Callable[[MemoryRecord], bool]]] = {
    "current": ({}, lambda record: record.superseded_by is None),
    "replaced": ({"state": State.REPLACED}, lambda record: record.superseded_by is not None),
    "all": ({"state": State.ALL}, lambda record: True),
    "pinned": ({"pinned": True}, lambda record: record.superseded_by is None and record.pinned),
    "type": (
        {"types": frozenset({MemoryType.SEMANTIC})},
        lambda record: record.superseded_by is None and record.type is MemoryType.SEMANTIC,
    ),
    "source": (
        {"source": Source.CONVERSATION},
        lambda record: record.superseded_by is None and record.source is Source.CONVERSATION,
    ),
    "conversation": (
        {"conversation": "talk 3"},
        lambda record: record.superseded_by is None and record.conversation_id == "talk 3",
    ),
    "words": (
        {"text": "BLUE not", "manner": Manner.WORDS},
        lambda record: record.superseded_by is None and "Blue" in record.content,
    ),
    "sharp s": (
        {"text": "stra\u00dfe", "manner": Manner.WORDS},
        lambda record: record.superseded_by is None and "STRASSE" in record.content,
    ),
}


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("name", list(FILTERS))
async def test_each_filter_in_each_order_shows_what_a_plain_reading_finds(
    listing: Listing, service: MemoryService, name: str, order: Order
) -> None:
    wanted, holds = FILTERS[name]
    ids, first = await pages(listing, **wanted, order=order)
    expected = [record for record in await every(service) if holds(record)]
    assert sorted(ids) == sorted(record.id for record in expected)
    assert first.total == len(expected)
    assert first.complete


async def test_orders_are_what_they_say(listing: Listing, service: MemoryService) -> None:
    by_id = {record.id: record for record in await every(service)}

    async def in_order(order: Order) -> list[MemoryRecord]:
        return [by_id[name] for name in (await pages(listing, order=order))[0]]

    newest = [record.created_at for record in await in_order(Order.NEWEST)]
    assert newest == sorted(newest, reverse=True)
    oldest = [record.created_at for record in await in_order(Order.OLDEST)]
    assert oldest == sorted(oldest)
    changed = [record.updated_at for record in await in_order(Order.CHANGED)]
    assert changed == sorted(changed, reverse=True)
    importance = [record.importance for record in await in_order(Order.IMPORTANCE)]
    assert importance == sorted(importance, reverse=True)
    assert (await in_order(Order.RECALLED))[0].access_count == 1


async def test_a_search_by_meaning_is_the_routers_own(listing: Listing) -> None:
    found = await listing.page(ANNA, Wanted(text="note 7 about a STRASSE thing"))
    assert found.memories[0].content == "note 7 about a STRASSE thing"
    near = await listing.page(ANNA, Wanted(text="xylophone quartet"))
    nearest = await listing.page(ANNA, Wanted(text="xylophone quartet", nearest=True))
    assert near.total < nearest.total == len(nearest.memories)
    assert near.best_miss is not None


@pytest.mark.parametrize("after", ["-1", "x", "9" * 30, "1.5", "\u0663"])
async def test_a_page_that_was_not_given_out_is_refused(listing: Listing, after: str) -> None:
    for order in (Order.NEWEST, Order.OLDEST):
        with pytest.raises(InvalidRequest):
            await listing.page(ANNA, Wanted(order=order, after=after))


@pytest.mark.parametrize("name", ["type", "sort", "by", "state", "source"])
def test_what_an_address_cannot_mean_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is one of"):
        Wanted.read(QueryParams({name: "nonsense"}))


async def test_an_address_without_anything_means_a_first_look() -> None:
    assert Wanted.read(QueryParams("q=&type=&source=&by=&sort=&state=&session=")) == Wanted()
    assert not Wanted().is_filtered
    assert not Wanted(order=Order.OLDEST).is_filtered
    assert Wanted(pinned=True).is_filtered


async def test_only_own_memories_are_listed(listing: Listing) -> None:
    for wanted in (Wanted(), Wanted(order=Order.OLDEST), Wanted(text="note"), Wanted(text="note", manner=Manner.WORDS)):
        assert (await listing.page(Scope("canary-other"), wanted)).memories == []

"""Items come in their order, one is made in advance, and nothing is left running."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from memrouter.transfer.ahead import ahead


class Counted:
    """Counts how many numbers were made, and whether the making was ended."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.made = 0
        self.ended = asyncio.Event()
        self._fail_at = fail_at

    async def numbers(self, count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                await asyncio.sleep(0)
                if number == self._fail_at:
                    raise OSError("broken")
                self.made += 1
                yield number
        finally:
            self.ended.set()


async def test_everything_comes_in_order() -> None:
    assert [number async for number in ahead(Counted().numbers(5))] == list(range(5))
    assert [number async for number in ahead(Counted().numbers(0))] == []


async def test_the_next_one_is_made_while_one_is_dealt_with_and_no_more() -> None:
    source = Counted()
    items = ahead(source.numbers(5))
    assert await anext(items) == 0
    for _ in range(10):
        await asyncio.sleep(0)
    assert source.made == 2
    assert await anext(items) == 1


async def test_an_error_comes_behind_what_was_made_before_it() -> None:
    items = ahead(Counted(fail_at=2).numbers(5))
    assert [await anext(items), await anext(items)] == [0, 1]
    with pytest.raises(OSError, match="broken"):
        await anext(items)


async def test_who_stops_early_leaves_nothing_running() -> None:
    source = Counted()
    before = len(asyncio.all_tasks())
    items = ahead(source.numbers(5))
    assert await anext(items) == 0
    await items.aclose()
    assert len(asyncio.all_tasks()) == before

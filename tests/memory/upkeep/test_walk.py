"""From one user to the next, and on from where one stopped."""

from typing import Any

import pytest

from memrouter.memory.upkeep.pace import FullSpeed
from memrouter.memory.upkeep.walk import Part, parts

from .upkeep_bench import Bench


async def walked(bench: Bench, **options: Any) -> list[Part]:
    return [part async for part in parts(bench.store, pace=FullSpeed(), **options)]


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_each_user_comes_once_with_everything(bench: Bench, page: int) -> None:
    for user_id, number in (("alice", 5), ("bob", 1), ("carol", 3)):
        await bench.keep(*(f"fact {each}" for each in range(number)), user_id=user_id)
    await bench.keep("hidden", user_id="bob", superseded_by="x", quarantine="y")
    found = await walked(bench, page=page)
    assert {part.user_id: len(part.records) for part in found} == {"alice": 5, "bob": 2, "carol": 3}
    assert len(found) == 3


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_whoever_begins_before_a_part_comes_by_it_again_whole(bench: Bench, page: int) -> None:
    for user_id in ("alice", "bob", "carol"):
        await bench.keep(*(f"fact {each}" for each in range(4)), user_id=user_id)
    for part in await walked(bench, page=page):
        again = await walked(bench, page=page, after=part.before)
        assert [record.id for record in part.records] in [[record.id for record in each.records] for each in again]


async def test_a_user_with_too_many_memories_comes_in_parts(bench: Bench) -> None:
    await bench.keep(*(f"fact {each}" for each in range(7)))
    assert [len(part.records) for part in await walked(bench, page=2, most=3)] == [3, 3, 1]


async def test_every_page_is_followed_by_a_rest(bench: Bench) -> None:
    await bench.keep(*(f"fact {each}" for each in range(7)))

    class Counting(FullSpeed):
        rests = 0

        async def rest(self) -> None:
            self.rests += 1

    pace = Counting()
    async for _ in parts(bench.store, pace=pace, page=3):
        pass
    assert pace.rests == 3

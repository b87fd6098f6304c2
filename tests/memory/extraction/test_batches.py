import asyncio

import pytest

from memrouter.memory.extraction.batches import MAX_BATCH_CHARS, MAX_OWNER_TURNS, MAX_TURNS, TurnBatch, TurnBatches
from memrouter.memory.extraction.prompt import USER_CHARS
from memrouter.models.memory import Source

from .extraction_records import turn


class Overflows:
    """Counts turns that were not waited for."""

    def __init__(self) -> None:
        self.count = 0

    def extraction_overflow(self) -> None:
        self.count += 1

    def extraction(self, *, outcome: str, seconds: float) -> None:
        raise AssertionError

    def extraction_call(self, *, prompt: int, completion: int) -> None:
        raise AssertionError

    def facts(self, *, outcome: str, count: int) -> None:
        raise AssertionError


@pytest.fixture
def given() -> list[TurnBatch]:
    return []


@pytest.fixture
def overflows() -> Overflows:
    return Overflows()


def batches(given: list[TurnBatch], overflows: Overflows, *, size: int = 3, max_wait: float = 3600) -> TurnBatches:
    return TurnBatches(given.append, size=size, max_wait=max_wait, observer=overflows)


async def test_a_full_batch_is_given_on_at_once(given: list[TurnBatch], overflows: Overflows) -> None:
    waiting = batches(given, overflows)
    for number in range(7):
        waiting.offer(turn("I like tea.", number=number))
    assert [batch.ids for batch in given] == [["turn-0", "turn-1", "turn-2"], ["turn-3", "turn-4", "turn-5"]]
    assert (given[0].scope.user_id, given[0].scope.project_id) == ("anna", "default")
    assert waiting.waiting == 7
    waiting.flush()
    waiting.flush()
    assert [batch.ids for batch in given][2:] == [["turn-6"]]


async def test_a_batch_of_long_turns_is_full_earlier(given: list[TurnBatch], overflows: Overflows) -> None:
    waiting = batches(given, overflows, size=100)
    for number in range(MAX_BATCH_CHARS // USER_CHARS):
        waiting.offer(turn("x" * USER_CHARS * 2, "", number=number))
    assert [len(batch.ids) for batch in given] == [MAX_BATCH_CHARS // USER_CHARS]


async def test_what_waits_long_enough_is_given_on_by_itself(overflows: Overflows) -> None:
    came: asyncio.Queue[TurnBatch] = asyncio.Queue()
    waiting = TurnBatches(came.put_nowait, size=3, max_wait=0.01, observer=overflows)
    waiting.offer(turn("I like tea."))
    async with asyncio.timeout(10):
        assert (await came.get()).ids == ["turn-0"]


async def test_conversations_and_owners_do_not_mix(given: list[TurnBatch], overflows: Overflows) -> None:
    waiting = batches(given, overflows)
    others = [{}, {"user_id": "ann"}, {"project_id": "work"}, {"conversation_id": "c2"}]
    for number, changes in enumerate(others):
        waiting.offer(turn("I like tea.", number=number, **changes))
    waiting.flush()
    assert sorted(batch.ids for batch in given) == [[f"turn-{number}"] for number in range(4)]
    assert {(batch.scope.user_id, batch.scope.project_id) for batch in given} == {
        ("anna", "default"),
        ("ann", "default"),
        ("anna", "work"),
    }


async def test_what_is_no_turn_of_a_conversation_does_not_wait(given: list[TurnBatch], overflows: Overflows) -> None:
    waiting = batches(given, overflows)
    waiting.offer(turn("I like tea.", source=Source.SESSION_WINDOW))
    waiting.offer(turn("I like tea.", conversation_id=None))
    waiting.offer(turn("I like tea.", quarantine="role_markers"))
    assert waiting.waiting == 0


async def test_nobody_takes_everybody_s_place(given: list[TurnBatch], overflows: Overflows) -> None:
    waiting = batches(given, overflows, size=10)
    for number in range(MAX_OWNER_TURNS + 5):
        waiting.offer(turn("I like tea.", number=number))
    assert (waiting.waiting, overflows.count) == (MAX_OWNER_TURNS, 5)
    waiting.offer(turn("I like tea.", user_id="bob"))
    assert overflows.count == 5
    waiting.done(given[0])
    waiting.done(given[0])
    assert waiting.waiting == MAX_OWNER_TURNS + 1 - 10
    waiting.offer(turn("I like tea.", number=9999))
    assert overflows.count == 5


async def test_many_identities_cannot_fill_the_memory(given: list[TurnBatch], overflows: Overflows) -> None:
    waiting = batches(given, overflows, size=MAX_OWNER_TURNS)
    for user in range(MAX_TURNS // MAX_OWNER_TURNS + 1):
        record = turn("I like tea.", user_id=f"user-{user}")
        for _ in range(MAX_OWNER_TURNS):
            waiting.offer(record)
    assert (waiting.waiting, overflows.count) == (MAX_TURNS, MAX_OWNER_TURNS)
    for batch in given:
        waiting.done(batch)
    assert waiting.waiting == 0

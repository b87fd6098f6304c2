"""Counts are gathered, written together, and never get in anybody's way."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from memrouter.jobs.tally import Tally


class Ledger:
    """What was written."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.failing: set[str] = set()
        self.errors: list[Exception] = []
        self.written = asyncio.Event()

    async def write(self, key: str, items: Sequence[str]) -> None:
        if key in self.failing:
            raise ConnectionError(key)
        self.calls.append((key, list(items)))
        self.written.set()

    def tally(self, *, seconds: float = 3600, capacity: int = 100) -> Tally[str]:
        return Tally(self.write, seconds=seconds, capacity=capacity, on_error=self.errors.append)

    def counts(self) -> dict[str, Counter[str]]:
        total: dict[str, Counter[str]] = {}
        for key, items in self.calls:
            total.setdefault(key, Counter()).update(items)
        return total


async def test_counts_under_one_key_are_written_in_one_call() -> None:
    ledger = Ledger()
    tally = ledger.tally()
    tally.note("anna", ["a", "b"])
    tally.note("anna", ["c"])
    tally.note("bob", ["a"])
    assert ledger.calls == []
    await tally.aclose()
    assert sorted((key, sorted(items)) for key, items in ledger.calls) == [("anna", ["a", "b", "c"]), ("bob", ["a"])]


async def test_counts_are_written_without_being_asked_for() -> None:
    ledger = Ledger()
    tally = ledger.tally(seconds=0)
    tally.note("anna", ["a"])
    await ledger.written.wait()
    ledger.written.clear()
    tally.note("anna", ["b"])
    await ledger.written.wait()
    assert ledger.calls == [("anna", ["a"]), ("anna", ["b"])]
    await tally.aclose()


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.lists(st.sampled_from("abc"), max_size=4)), max_size=20))
def test_every_count_is_written_exactly_once(notes: list[tuple[str, list[str]]]) -> None:
    async def check() -> None:
        ledger = Ledger()
        tally = ledger.tally()
        expected: dict[str, Counter[str]] = {}
        for key, items in notes:
            tally.note(key, items)
            expected.setdefault(key, Counter()).update(items)
        await tally.aclose()
        assert ledger.counts() == {key: count for key, count in expected.items() if count}
        assert all(len(items) == len(set(items)) for _, items in ledger.calls)

    asyncio.run(check())


async def test_several_keys_are_written_at_the_same_time() -> None:
    both = asyncio.Barrier(2)

    async def write(_: str, __: Sequence[str]) -> None:
        async with asyncio.timeout(30):
            await both.wait()

    errors: list[Exception] = []
    tally: Tally[str] = Tally(write, seconds=3600, capacity=9, on_error=errors.append)
    for key in ("anna", "bob"):
        tally.note(key, ["a"])
    await tally.aclose()
    assert errors == []


async def test_a_key_that_fails_does_not_keep_the_others_from_being_written() -> None:
    ledger = Ledger()
    ledger.failing = {"anna"}
    tally = ledger.tally()
    tally.note("anna", ["a", "a"])
    tally.note("bob", ["b"])
    await tally.aclose()
    assert ledger.calls == [("bob", ["b"])]
    assert len(ledger.errors) == 1


async def test_counts_over_the_capacity_are_dropped_and_counted() -> None:
    ledger = Ledger()
    tally = ledger.tally(capacity=3)
    tally.note("anna", ["a", "b"])
    tally.note("anna", ["c", "d"])
    tally.note("anna", ["e"])
    await tally.aclose()
    assert ledger.counts() == {"anna": Counter("abe")}
    assert tally.dropped == 2


async def test_nothing_is_taken_after_closing() -> None:
    ledger = Ledger()
    tally = ledger.tally()
    await tally.aclose()
    tally.note("anna", ["a"])
    await tally.aclose()
    assert (ledger.calls, tally.dropped) == ([], 1)

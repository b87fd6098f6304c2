"""Work that operators ask for: one at a time, bounded, and its failure is told."""

import asyncio
import logging

import pytest

from memrouter.errors import StoreUnavailable
from memrouter.inspector.operations.inquiry import Inquiry
from memrouter.testing.clock import ManualClock


async def test_what_was_found_is_kept() -> None:
    clock = ManualClock(ms=1000)
    inquiry: Inquiry[int] = Inquiry(clock=clock, seconds=5)

    async def work() -> int:
        clock.ms = 3000
        return 42

    assert inquiry.last is None
    assert await inquiry.settles(within=0)
    assert inquiry.begin(work)
    assert inquiry.running_since == 1000
    assert await inquiry.settles(within=5)
    assert inquiry.running_since is None
    assert inquiry.last is not None
    assert (inquiry.last.value, inquiry.last.began_at, inquiry.last.ended_at, inquiry.last.failure) == (
        42,
        1000,
        3000,
        "",
    )


async def test_only_one_runs_at_a_time() -> None:
    gate, begun = asyncio.Event(), 0
    inquiry: Inquiry[None] = Inquiry(clock=ManualClock(), seconds=5)

    async def work() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    assert inquiry.begin(work)
    assert not inquiry.begin(work)
    assert not await inquiry.settles(within=0.001)
    gate.set()
    assert await inquiry.settles(within=5)
    assert begun == 1
    assert inquiry.begin(work)
    await inquiry.settles(within=5)
    assert begun == 2


async def test_one_that_takes_too_long_has_failed() -> None:
    inquiry: Inquiry[None] = Inquiry(clock=ManualClock(), seconds=0.01)

    async def work() -> None:
        await asyncio.Event().wait()

    inquiry.begin(work)
    await inquiry.settles(within=5)
    assert inquiry.last is not None
    assert inquiry.last.failure == "it was not finished within 0.01 s"


@pytest.mark.parametrize(
    ("error", "told"),
    [(StoreUnavailable("it is full"), "it is full"), (ValueError("secret"), "unexpected ValueError; the log has more")],
)
async def test_a_failure_is_told_without_foreign_words(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    inquiry: Inquiry[None] = Inquiry(clock=ManualClock(), seconds=5)

    async def work() -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        inquiry.begin(work)
        await inquiry.settles(within=5)
    assert inquiry.last is not None
    assert (inquiry.last.value, inquiry.last.failure) == (None, told)
    assert bool(caplog.records) is isinstance(error, ValueError)


async def test_closing_ends_what_is_under_way() -> None:
    ended = asyncio.Event()
    inquiry: Inquiry[None] = Inquiry(clock=ManualClock(), seconds=5)

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    inquiry.begin(work)
    await asyncio.sleep(0)
    await inquiry.aclose()
    await inquiry.aclose()
    assert ended.is_set()
    assert inquiry.running_since is None

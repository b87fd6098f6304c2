import asyncio
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.jobs.queue import JobQueue

request_id: ContextVar[str] = ContextVar("request_id", default="none")


class Bench:
    """A handler behind a gate, and what the queue reported."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.beginnings = asyncio.Semaphore(0)
        self.begun: list[int] = []
        self.finished: list[int] = []
        self.dropped: list[int] = []
        self.errors: list[Exception] = []
        self.failing: dict[int, list[Exception]] = {}

    def queue(self, *, capacity: int = 10, workers: int = 1, retries: int = 0) -> JobQueue[int]:
        return JobQueue(
            self.handle,
            capacity=capacity,
            workers=workers,
            on_drop=self.dropped.append,
            on_error=self.errors.append,
            retries=retries,
            retry_on=(ConnectionError,),
        )

    async def handle(self, job: int) -> None:
        self.begun.append(job)
        self.beginnings.release()
        await self.gate.wait()
        if self.failing.get(job):
            raise self.failing[job].pop(0)
        self.finished.append(job)

    async def begin(self, count: int) -> None:
        """Wait until ``count`` more jobs have begun."""
        for _ in range(count):
            await self.beginnings.acquire()


async def test_offered_jobs_are_done_in_the_background() -> None:
    bench = Bench()
    bench.gate.set()
    queue = bench.queue()
    for job in range(5):
        queue.offer(job)
    assert bench.begun == []
    assert await queue.drain(5) == 0
    assert bench.finished == [0, 1, 2, 3, 4]
    assert (queue.done, queue.failed, queue.dropped, queue.depth) == (5, 0, 0, 0)


async def test_a_full_queue_drops_the_oldest_waiting_job() -> None:
    bench = Bench()
    queue = bench.queue(capacity=2)
    queue.offer(0)
    await bench.begin(1)
    for job in (1, 2, 3, 4):
        queue.offer(job)
    assert queue.depth == 2
    assert bench.dropped == [1, 2]
    bench.gate.set()
    await queue.drain(5)
    assert bench.finished == [0, 3, 4]
    assert queue.dropped == 2


async def test_no_more_jobs_are_in_work_than_there_are_workers() -> None:
    bench = Bench()
    queue = bench.queue(workers=3)
    for job in range(8):
        queue.offer(job)
    await bench.begin(3)
    assert bench.begun == [0, 1, 2]
    assert queue.depth == 5
    bench.gate.set()
    assert await queue.drain(5) == 0


async def test_a_failing_job_is_counted_and_reported_and_the_next_one_is_done() -> None:
    bench = Bench()
    bench.gate.set()
    bench.failing = {0: [ValueError("no")]}
    queue = bench.queue(retries=3)
    queue.offer(0)
    queue.offer(1)
    await queue.drain(5)
    assert (bench.finished, queue.done, queue.failed) == ([1], 1, 1)
    assert [str(error) for error in bench.errors] == ["no"]
    assert bench.begun == [0, 1]


async def test_a_passing_failure_is_tried_again() -> None:
    bench = Bench()
    bench.gate.set()
    bench.failing = {0: [ConnectionError(), ConnectionError()]}
    queue = bench.queue(retries=2)
    queue.offer(0)
    await queue.drain(5)
    assert (bench.begun, queue.done, queue.failed, bench.errors) == ([0, 0, 0], 1, 0, [])


async def test_a_job_that_keeps_failing_is_given_up_after_its_retries() -> None:
    bench = Bench()
    bench.gate.set()
    bench.failing = {0: [ConnectionError() for _ in range(9)]}
    queue = bench.queue(retries=2)
    queue.offer(0)
    await queue.drain(5)
    assert (len(bench.begun), queue.done, queue.failed, len(bench.errors)) == (3, 0, 1, 1)


async def test_a_handler_that_cancels_itself_does_not_stop_the_queue() -> None:
    seen: list[int] = []

    async def handle(job: int) -> None:
        if job == 0:
            raise asyncio.CancelledError
        seen.append(job)

    queue = JobQueue(handle, capacity=9, workers=1, on_drop=lambda _: None, on_error=lambda _: None)
    for job in range(3):
        queue.offer(job)
    assert await queue.drain(5) == 0
    assert seen == [1, 2]
    assert (queue.done, queue.dropped) == (2, 1)


async def test_draining_ends_at_the_deadline_and_counts_what_is_left() -> None:
    bench = Bench()
    queue = bench.queue(workers=2)
    for job in range(5):
        queue.offer(job)
    await bench.begin(2)
    assert await queue.drain(0) == 5
    bench.gate.set()
    assert await queue.drain(5) == 0
    assert sorted(bench.finished) == [0, 1, 2, 3, 4]


async def test_draining_waits_for_jobs_that_come_meanwhile() -> None:
    bench = Bench()
    queue = bench.queue()
    queue.offer(0)
    drained = asyncio.create_task(queue.drain(5))
    await bench.begin(1)
    queue.offer(1)
    assert not drained.done()
    bench.gate.set()
    assert await drained == 0
    assert bench.finished == [0, 1]


async def test_closing_drops_what_is_left_and_takes_nothing_more() -> None:
    bench = Bench()
    queue = bench.queue()
    for job in range(3):
        queue.offer(job)
    await bench.begin(1)
    await queue.aclose()
    queue.offer(3)
    await queue.aclose()
    assert sorted(bench.dropped) == [0, 1, 2, 3]
    assert (queue.depth, queue.done, queue.dropped) == (0, 0, 4)
    assert await queue.drain(5) == 0


async def test_a_worker_does_not_inherit_the_context_of_a_request() -> None:
    seen: list[str] = []

    async def handle(_: int) -> None:
        seen.append(request_id.get())

    queue = JobQueue(handle, capacity=9, workers=1, on_drop=lambda _: None, on_error=lambda _: None)
    token = request_id.set("req-1")
    queue.offer(0)
    request_id.reset(token)
    await queue.drain(5)
    assert seen == ["none"]


@pytest.mark.parametrize("close", [False, True])
@given(
    jobs=st.lists(st.sampled_from(["ok", "fail", "pass"]), max_size=30),
    capacity=st.integers(1, 8),
    workers=st.integers(1, 4),
)
def test_every_job_is_done_failed_or_dropped(close: bool, jobs: list[str], capacity: int, workers: int) -> None:
    async def play() -> tuple[int, int]:
        bench = Bench()
        bench.gate.set()
        queue = bench.queue(capacity=capacity, workers=workers, retries=1)
        for number, kind in enumerate(jobs):
            bench.failing[number] = [ConnectionError()] * {"ok": 0, "pass": 1, "fail": 2}[kind]
            queue.offer(number)
            if number % 5 == 4:
                await asyncio.sleep(0)
        if not close:
            assert await queue.drain(5) == 0
        await queue.aclose()
        assert (len(bench.finished), len(bench.errors), len(bench.dropped)) == (queue.done, queue.failed, queue.dropped)
        return queue.done + queue.failed + queue.dropped, queue.depth

    assert asyncio.run(play()) == (len(jobs), 0)

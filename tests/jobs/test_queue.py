import asyncio
from collections.abc import Sequence
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
        self.batches: list[list[int]] = []
        self.begun: list[int] = []
        self.finished: list[int] = []
        self.dropped: list[int] = []
        self.errors: list[Exception] = []
        self.failing: dict[int, list[Exception]] = {}

    def queue(
        self,
        *,
        capacity: int = 10,
        workers: int = 1,
        retries: int = 0,
        batch: int = 1,
        quiet: float = 0.0,
        patience: float = 0.0,
    ) -> JobQueue[int]:
        return JobQueue(
            self.handle,
            capacity=capacity,
            workers=workers,
            on_drop=self.dropped.append,
            on_error=self.errors.append,
            retries=retries,
            retry_on=(ConnectionError,),
            batch=batch,
            quiet=quiet,
            patience=max(quiet, patience),
        )

    async def handle(self, jobs: Sequence[int]) -> Sequence[Exception | None]:
        self.batches.append(list(jobs))
        for job in jobs:
            self.begun.append(job)
            self.beginnings.release()
        await self.gate.wait()
        failures = [self.failing[job].pop(0) if self.failing.get(job) else None for job in jobs]
        self.finished += [job for job, failure in zip(jobs, failures, strict=True) if failure is None]
        return failures

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

    async def handle(jobs: Sequence[int]) -> Sequence[None]:
        if jobs[0] == 0:
            raise asyncio.CancelledError
        seen.extend(jobs)
        return [None for _ in jobs]

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

    async def handle(_: Sequence[int]) -> Sequence[None]:
        seen.append(request_id.get())
        return [None]

    queue = JobQueue(handle, capacity=9, workers=1, on_drop=lambda _: None, on_error=lambda _: None)
    token = request_id.set("req-1")
    queue.offer(0)
    request_id.reset(token)
    await queue.drain(5)
    assert seen == ["none"]


async def test_jobs_that_wait_are_done_in_batches_and_no_more_of_them_at_once_than_there_are_workers() -> None:
    bench = Bench()
    queue = bench.queue(workers=2, batch=3)
    for job in range(9):
        queue.offer(job)
    await bench.begin(6)
    assert bench.batches == [[0, 1, 2], [3, 4, 5]]
    assert queue.depth == 3
    bench.gate.set()
    assert await queue.drain(5) == 0
    assert bench.batches[2:] == [[6, 7, 8]]


async def test_jobs_wait_for_quiet_until_a_whole_batch_waits() -> None:
    bench = Bench()
    queue = bench.queue(workers=4, batch=3, quiet=60.0)
    for job in range(2):
        queue.offer(job)
    await asyncio.sleep(0)
    assert bench.batches == []
    queue.offer(2)
    await bench.begin(3)
    assert bench.batches == [[0, 1, 2]]
    bench.gate.set()
    assert await queue.drain(5) == 0


async def test_a_job_begins_when_it_is_quiet() -> None:
    bench = Bench()
    bench.gate.set()
    queue = bench.queue(batch=3, quiet=0.001)
    queue.offer(0)
    await bench.begin(1)
    assert bench.batches == [[0]]
    await queue.drain(5)


async def test_jobs_that_keep_coming_do_not_hold_up_the_first_for_ever() -> None:
    bench = Bench()
    queue = bench.queue(workers=9, batch=1_000, quiet=0.005, capacity=1_000)
    for job in range(900):
        queue.offer(job)
        await asyncio.sleep(0.001)
        if bench.batches:
            break
    assert bench.batches[0][0] == 0
    bench.gate.set()
    assert await queue.drain(5) == 0


async def test_hurrying_begins_what_waits_for_quiet() -> None:
    bench = Bench()
    bench.gate.set()
    queue = bench.queue(workers=4, batch=3, quiet=60.0)
    queue.offer(0)
    queue.offer(1)
    queue.hurry()
    await bench.begin(2)
    assert bench.batches == [[0, 1]]
    assert await queue.drain(5) == 0


@pytest.mark.parametrize(("times", "begun"), [((0.9, 1.5), False), ((0.9, 1.9), True), ((0.9, 1.8, 2.6, 3.1), True)])
async def test_a_job_that_is_put_off_waits_for_quiet_anew_until_patience_ends(
    monkeypatch: pytest.MonkeyPatch, times: Sequence[float], begun: bool
) -> None:
    """Put off at all times but the last, it has begun by then or not; quiet is 1, patience 3."""
    bench, now = Bench(), [0.0]
    bench.gate.set()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    queue = bench.queue(batch=3, quiet=1.0, patience=3.0)
    queue.offer(0)
    for now[0] in times:
        for _ in range(5):
            await asyncio.sleep(0)
        if now[0] != times[-1]:
            assert bench.batches == []
            queue.put_off()
    assert bench.batches == ([[0]] if begun else [])
    monkeypatch.undo()
    await queue.aclose()


async def test_there_is_nothing_to_put_off_where_nothing_waits() -> None:
    queue = Bench().queue(batch=3, quiet=60.0)
    queue.put_off()
    assert queue.depth == 0


async def test_draining_does_not_wait_for_quiet() -> None:
    bench = Bench()
    bench.gate.set()
    queue = bench.queue(batch=3, quiet=60.0)
    queue.offer(0)
    assert await queue.drain(5) == 0
    assert bench.finished == [0]


async def test_of_a_batch_only_what_failed_is_tried_again_and_the_rest_makes_room() -> None:
    bench = Bench()
    bench.failing = {1: [ConnectionError(), ConnectionError()], 2: [ValueError("no")]}
    queue = bench.queue(workers=3, batch=3, retries=2, quiet=60.0)
    for job in range(4):
        queue.offer(job)
    bench.gate.set()
    assert await queue.drain(5) == 0
    assert bench.batches[0] == [0, 1, 2]
    assert sorted(bench.batches[1:]) == [[1], [1], [3]]
    assert (queue.done, queue.failed, len(bench.errors)) == (3, 1, 1)


async def test_a_handler_that_raises_fails_every_job_of_its_batch() -> None:
    async def handle(_: Sequence[int]) -> Sequence[None]:
        raise ValueError("no")

    errors: list[Exception] = []
    queue = JobQueue(handle, capacity=9, workers=2, on_drop=lambda _: None, on_error=errors.append, batch=2, quiet=60.0)
    for job in range(2):
        queue.offer(job)
    assert await queue.drain(5) == 0
    assert (queue.failed, len(errors)) == (2, 2)


async def test_who_will_offer_more_waits_while_too_much_waits() -> None:
    bench = Bench()
    queue = bench.queue(capacity=8)
    await queue.relief(60.0)  # at once
    for job in range(4):
        queue.offer(job)
    await bench.begin(1)
    waiting = asyncio.create_task(queue.relief(60.0))
    await asyncio.sleep(0)
    assert (queue.depth, waiting.done()) == (3, False)
    bench.gate.set()
    await waiting
    assert queue.depth <= 2
    assert await queue.drain(5) == 0


async def test_nobody_waits_longer_than_said_for_relief() -> None:
    bench = Bench()
    queue = bench.queue(capacity=4)
    for job in range(4):
        queue.offer(job)
    await bench.begin(1)
    await queue.relief(0.001)
    assert queue.depth == 3
    bench.gate.set()
    assert await queue.drain(5) == 0


async def test_nobody_waits_for_what_waits_to_be_tried_again() -> None:
    bench = Bench()
    bench.failing = {0: [ConnectionError()]}
    queue = JobQueue(
        bench.handle, capacity=4, workers=1, on_drop=lambda _: None, on_error=lambda _: None,
        retries=1, retry_delay=60.0, retry_on=(ConnectionError,),
    )  # fmt: skip
    for job in range(4):
        queue.offer(job)
    await bench.begin(1)
    held_up = asyncio.create_task(queue.relief(60.0))
    await asyncio.sleep(0)
    assert not held_up.done()
    bench.gate.set()
    await held_up
    await queue.relief(60.0)  # at once
    assert queue.depth == 3
    await queue.aclose()


@pytest.mark.parametrize("close", [False, True])
@given(
    jobs=st.lists(st.sampled_from(["ok", "fail", "pass"]), max_size=30),
    capacity=st.integers(1, 8),
    workers=st.integers(1, 4),
    batch=st.integers(1, 4),
    quiet=st.sampled_from([0.0, 60.0]),
)
def test_every_job_is_done_failed_or_dropped(
    close: bool, jobs: list[str], capacity: int, workers: int, batch: int, quiet: float
) -> None:
    async def play() -> tuple[int, int]:
        bench = Bench()
        bench.gate.set()
        queue = bench.queue(capacity=capacity, workers=workers, retries=1, batch=batch, quiet=quiet)
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

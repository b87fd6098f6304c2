"""A client that goes away ends the work done for it, and nothing else does."""

import asyncio

import pytest
from starlette.types import Message

from memrouter.api.hangup import WATCHED_FROM_SECONDS, ClientGone, Hangup


class Connection:
    """The receive channel of a request whose body has been read."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    async def receive(self) -> Message:
        return await self.messages.get()

    def hang_up(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


async def test_work_ends_normally_while_the_client_stays() -> None:
    hangup = Hangup(Connection().receive)
    assert await hangup.guard(asyncio.sleep(0, result=5)) == 5
    hangup.release()


async def test_short_work_is_not_watched() -> None:
    async def receive() -> Message:
        raise AssertionError

    hangup = Hangup(receive)
    assert await hangup.guard(asyncio.sleep(0, result=5)) == 5
    hangup.release()
    await asyncio.sleep(WATCHED_FROM_SECONDS * 1.5)


async def test_a_watch_that_was_asked_for_begins_at_once_and_once() -> None:
    connection, begun = Connection(), []

    async def receive() -> Message:
        begun.append(True)
        return await connection.receive()

    hangup = Hangup(receive)
    for _ in range(2):
        hangup.watch()
    await asyncio.sleep(0)
    assert begun == [True]
    hangup.release()
    await asyncio.sleep(0)


async def test_work_is_cancelled_when_the_client_goes() -> None:
    connection = Connection()
    hangup = Hangup(connection.receive)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    guarded = asyncio.ensure_future(hangup.guard(work()))
    await begun.wait()
    connection.hang_up()
    with pytest.raises(ClientGone):
        await guarded
    assert ended.is_set()


async def test_errors_of_the_work_are_passed_on() -> None:
    hangup = Hangup(Connection().receive)

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await hangup.guard(fail())
    hangup.release()


async def test_work_begun_after_the_client_went_is_cancelled_at_once() -> None:
    connection = Connection()
    connection.hang_up()
    hangup = Hangup(connection.receive)
    with pytest.raises(ClientGone):
        await hangup.guard(asyncio.sleep(60))


async def test_cancelling_the_request_cancels_its_work() -> None:
    hangup = Hangup(Connection().receive)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    guarded = asyncio.ensure_future(hangup.guard(work()))
    await begun.wait()
    guarded.cancel()
    with pytest.raises(asyncio.CancelledError):
        await guarded
    assert ended.is_set()
    hangup.release()


async def test_a_deadline_around_the_work_is_told_from_a_hangup() -> None:
    hangup = Hangup(Connection().receive)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await hangup.guard(asyncio.Event().wait())
    hangup.release()


async def test_after_a_hangup_the_request_s_own_task_goes_on() -> None:
    connection = Connection()
    hangup = Hangup(connection.receive)
    asyncio.get_running_loop().call_soon(connection.hang_up)
    with pytest.raises(ClientGone):
        await hangup.guard(asyncio.Event().wait())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_work_that_ends_in_spite_of_a_hangup_is_not_lost() -> None:
    connection = Connection()
    hangup = Hangup(connection.receive)

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done"
        raise AssertionError

    asyncio.get_running_loop().call_soon(connection.hang_up)
    assert await hangup.guard(stubborn()) == "done"
    await asyncio.sleep(0)

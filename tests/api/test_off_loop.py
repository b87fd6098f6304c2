import threading

from memrouter.api.body import THREAD_FROM_BYTES
from memrouter.api.off_loop import off_loop


async def test_work_on_a_large_body_is_done_in_a_thread_and_on_a_small_one_at_once() -> None:
    here = threading.get_ident()
    assert await off_loop(THREAD_FROM_BYTES - 1, threading.get_ident) == here
    assert await off_loop(THREAD_FROM_BYTES, threading.get_ident) != here

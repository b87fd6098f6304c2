import threading
from collections.abc import Sequence

from memrouter.embeddings.offload import INLINE_COST, TEXT_COST, run_bounded


def thread_of(texts: Sequence[str]) -> threading.Thread:
    return threading.current_thread()


async def test_short_texts_are_worked_on_in_the_event_loop() -> None:
    assert await run_bounded(thread_of, ["a" * (INLINE_COST - TEXT_COST)]) is threading.current_thread()


async def test_a_long_text_goes_to_a_thread() -> None:
    assert await run_bounded(thread_of, ["a" * INLINE_COST]) is not threading.current_thread()


async def test_many_short_texts_go_to_a_thread() -> None:
    assert await run_bounded(thread_of, ["a"] * INLINE_COST) is not threading.current_thread()

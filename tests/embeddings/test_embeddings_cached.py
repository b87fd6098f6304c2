import asyncio
import gc
from collections.abc import Sequence

import numpy as np
import pytest

from memrouter.embeddings.base import EmbedderInfo
from memrouter.embeddings.cached import CachedEmbedder
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.embeddings.padded import PaddedEmbedder
from memrouter.errors import EmbeddingError
from memrouter.models.memory import Matrix


class GatedEmbedder:
    """Notes what it is asked for; answers, or fails, only while its gate is open."""

    def __init__(self) -> None:
        self._inner = HashEmbedder(8)
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.failing = False
        self.closed = 0

    @property
    def info(self) -> EmbedderInfo:
        return self._inner.info

    async def embed(self, texts: Sequence[str]) -> Matrix:
        self.asked.append(list(texts))
        self.entered.set()
        await self.gate.wait()
        if self.failing:
            raise EmbeddingError("no")
        return await self._inner.embed(texts)

    async def aclose(self) -> None:
        self.closed += 1
        self.gate.set()


async def test_rows_are_those_of_the_inner_embedder_in_the_order_of_the_texts() -> None:
    cached = CachedEmbedder(HashEmbedder(8), entries=2)
    texts = ["one", "two", "three", "one", ""]
    for _ in range(2):
        np.testing.assert_array_equal(await cached.embed(texts), await HashEmbedder(8).embed(texts))


async def test_a_known_text_is_not_embedded_again() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=10)
    await cached.embed(["a", "b"])
    await cached.embed(["b", "c", "c"])
    assert inner.asked == [["a", "b"], ["c"]]
    assert (cached.hits, cached.misses) == (2, 3)


async def test_the_least_recently_used_text_is_forgotten_first() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await cached.embed([text])
    assert inner.asked == [["a"], ["b"], ["c"], ["b"]]


async def test_a_batch_larger_than_the_cache_is_answered_whole() -> None:
    cached = CachedEmbedder(HashEmbedder(8), entries=1)
    assert (await cached.embed(["a", "b", "c"])).shape == (3, 8)


async def test_equal_texts_under_way_are_embedded_once() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=10)
    inner.gate.clear()
    first = asyncio.create_task(cached.embed(["a", "b"]))
    await inner.entered.wait()
    second = asyncio.create_task(cached.embed(["b", "c"]))
    await asyncio.sleep(0)
    inner.gate.set()
    one, two = await asyncio.gather(first, second)
    assert inner.asked == [["a", "b"], ["c"]]
    np.testing.assert_array_equal(one[1], two[0])


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=10)
    inner.failing = True
    inner.gate.clear()
    callers = [asyncio.create_task(cached.embed(["a"])) for _ in range(3)]
    await inner.entered.wait()
    inner.gate.set()
    assert [type(result) for result in await asyncio.gather(*callers, return_exceptions=True)] == [EmbeddingError] * 3
    inner.failing = False
    assert (await cached.embed(["a"])).shape == (1, 8)
    assert inner.asked == [["a"], ["a"]]


async def test_a_cancelled_caller_does_not_cancel_the_work_of_others() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=10)
    inner.gate.clear()
    first = asyncio.create_task(cached.embed(["a"]))
    await inner.entered.wait()
    second = asyncio.create_task(cached.embed(["a"]))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    inner.gate.set()
    assert (await second).shape == (1, 8)
    assert inner.asked == [["a"]]


async def test_a_failure_that_nobody_waits_for_is_not_reported() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=10)
    inner.failing = True
    inner.gate.clear()
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    first = asyncio.create_task(cached.embed(["a"]))
    await inner.entered.wait()
    second = asyncio.create_task(cached.embed(["a", "b"]))  # gives up at "a" and leaves "b" alone
    await asyncio.sleep(0)
    inner.gate.set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert inner.asked == [["a"], ["b"]]
    del first, second  # their tracebacks, and the event loop for one round more, hold what they left alone
    await asyncio.sleep(0)
    gc.collect()
    assert reported == []


async def test_without_entries_every_call_is_passed_on() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=0)
    await cached.embed(["a"])
    await cached.embed(["a"])
    assert inner.asked == [["a"], ["a"]]
    assert (cached.hits, cached.misses) == (0, 2)


async def test_texts_are_cut_before_they_are_compared() -> None:
    inner = GatedEmbedder()
    cached = CachedEmbedder(inner, entries=10)
    await cached.embed(["a" * 16_384, "a" * 16_385, "\ud800", "?"])
    assert inner.asked == [["a" * 16_384, "?"]]


async def test_a_caller_may_change_the_rows_it_got() -> None:
    cached = CachedEmbedder(HashEmbedder(8), entries=10)
    first = await cached.embed(["a"])
    expected = first.copy()
    first[:] = 7
    second = await cached.embed(["a"])
    np.testing.assert_array_equal(second, expected)


async def test_no_texts_give_no_rows() -> None:
    assert (await CachedEmbedder(HashEmbedder(8), entries=10).embed([])).shape == (0, 8)


async def test_texts_are_not_kept() -> None:
    cached = CachedEmbedder(HashEmbedder(8), entries=10)
    await cached.embed(["a rather private sentence"])
    assert "private" not in repr(vars(cached))


async def test_closing_closes_the_inner_embedder_after_every_wrapper() -> None:
    inner = GatedEmbedder()
    await CachedEmbedder(PaddedEmbedder(inner, 9), entries=10).aclose()
    assert inner.closed == 1


async def test_at_once_gives_what_is_kept_or_needs_no_waiting() -> None:
    quick = CachedEmbedder(HashEmbedder(8), entries=10)
    rows = quick.at_once(["a", "b", "a"])
    assert rows is not None
    np.testing.assert_array_equal(rows, await HashEmbedder(8).embed(["a", "b", "a"]))
    assert (quick.hits, quick.misses) == (1, 2)
    slow = CachedEmbedder(GatedEmbedder(), entries=10)
    assert slow.at_once(["a"]) is None
    assert (slow.hits, slow.misses) == (0, 0)
    embedded = await slow.embed(["a"])
    np.testing.assert_array_equal(slow.at_once(["a"]), embedded)
    assert slow.at_once(["a", "b"]) is None
    assert CachedEmbedder(HashEmbedder(8), entries=0).at_once(["a"]) is None


async def test_what_is_given_at_once_is_the_callers_own() -> None:
    cached = CachedEmbedder(HashEmbedder(8), entries=10)
    first = cached.at_once(["a"])
    assert first is not None
    first[:] = 0
    np.testing.assert_array_equal(cached.at_once(["a"]), await HashEmbedder(8).embed(["a"]))

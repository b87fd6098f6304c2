import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.errors import StoreUnavailable
from memrouter.memory.retrieval.corpus import Corpus, build_corpus
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import CorpusKey, Follower, WorkingSet
from memrouter.models.memory import MemoryRecord, Scope, unit
from memrouter.stores.query import ALL_TYPES, Change

ANALYZER = Analyzer()


def key(user: str, project: str | None = "default") -> CorpusKey:
    return CorpusKey(Scope(user, project), ALL_TYPES)


async def corpus_of(user: str, *, generation: int = 1, chars: int = 100) -> Corpus:
    record = MemoryRecord(
        id="m",
        user_id=user,
        content="x" * chars,
        embedding=unit(np.ones(4)),
        embedding_model="test",
        created_at=1,
        updated_at=1,
    )
    return await build_corpus([record], analyzer=ANALYZER, generation=generation)


def owner_of(corpus: Corpus | None) -> str:
    assert corpus is not None
    return corpus.records[0].user_id


class Loader:
    """A store whose generation only rises when told to; holds loads back while ``gate`` is closed."""

    def __init__(self, user: str, *, chars: int = 100) -> None:
        self.user = user
        self.chars = chars
        self.generation = 1
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, held: Corpus | None) -> Corpus | None:
        self.calls += 1
        generation = self.generation
        await self.gate.wait()
        if held is not None and held.generation == generation:
            return held
        return await corpus_of(self.user, generation=generation, chars=self.chars)


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_corpus_that_still_stands_is_a_hit() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    first = await kept.get(key("ann"), load)
    assert await kept.get(key("ann"), load) is first
    assert (kept.hits, kept.misses) == (1, 1)


async def test_a_risen_generation_is_read_anew() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    await kept.get(key("ann"), load)
    load.generation = 2
    corpus = await kept.get(key("ann"), load)
    assert corpus is not None
    assert corpus.generation == 2
    assert (kept.hits, kept.misses) == (0, 2)


async def test_concurrent_requests_share_one_load() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    corpora = await asyncio.gather(*(kept.get(key("ann"), load) for _ in range(50)))
    assert load.calls == 1
    assert all(corpus is corpora[0] for corpus in corpora)


async def test_a_request_never_joins_a_load_that_began_before_it() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    load.gate.clear()
    early = asyncio.create_task(kept.get(key("ann"), load))
    await settle()
    load.generation = 2  # a write returns while the first load is under way
    late = [asyncio.create_task(kept.get(key("ann"), load)) for _ in range(10)]
    await settle()
    load.gate.set()
    old = await early
    new = await asyncio.gather(*late)
    assert old is not None
    assert old.generation == 1
    assert {corpus.generation for corpus in new if corpus is not None} == {2}
    assert load.calls == 2


async def test_a_cancelled_request_leaves_the_load_to_the_others() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    load.gate.clear()
    first, second = (asyncio.create_task(kept.get(key("ann"), load)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    load.gate.set()
    assert owner_of(await second) == "ann"
    assert first.cancelled()
    assert load.calls == 1


async def test_a_failed_load_reaches_all_who_shared_it_and_is_tried_again_by_the_next() -> None:
    kept = WorkingSet(max_bytes=1_000_000)

    async def fail(held: Corpus | None) -> Corpus | None:
        raise StoreUnavailable("down")

    results = await asyncio.gather(*(kept.get(key("ann"), fail) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert owner_of(await kept.get(key("ann"), Loader("ann"))) == "ann"


async def test_a_failed_load_keeps_the_corpus_for_when_the_store_is_back() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    first = await kept.get(key("ann"), load)

    async def fail(held: Corpus | None) -> Corpus | None:
        raise StoreUnavailable("down")

    with pytest.raises(StoreUnavailable):
        await kept.get(key("ann"), fail)
    assert await kept.get(key("ann"), load) is first


async def test_owners_projects_and_look_alikes_are_kept_apart() -> None:
    kept = WorkingSet(max_bytes=1_000_000)
    names = ["user", "User", "a", "a,b", "a|b", "*", "e\u0301", "\u00e9"]
    for name in names:
        await kept.get(key(name), Loader(name))
    for name in names:
        assert owner_of(await kept.get(key(name), Loader(name))) == name
    assert kept.hits == len(names)
    other: Callable[[Corpus | None], Awaitable[Corpus | None]] = Loader("user")
    await kept.get(key("user", "work"), other)
    await kept.get(key("user", None), other)
    assert kept.misses == len(names) + 2


async def test_the_least_recently_used_goes_first() -> None:
    size = (await corpus_of("a")).nbytes
    kept = WorkingSet(max_bytes=2 * size)
    for name in ("a", "b", "a", "c"):
        await kept.get(key(name), Loader(name))
    assert kept.evictions == 1
    hits = kept.hits
    await kept.get(key("a"), Loader("a"))
    assert kept.hits == hits + 1
    await kept.get(key("b"), Loader("b"))
    assert kept.hits == hits + 1


async def test_no_bytes_keep_nothing() -> None:
    kept, load = WorkingSet(max_bytes=0), Loader("ann")
    for _ in range(2):
        assert owner_of(await kept.get(key("ann"), load)) == "ann"
    assert (kept.hits, kept.misses, kept.nbytes, kept.evictions) == (0, 2, 0, 0)


async def test_an_owner_too_large_is_remembered_until_told_otherwise() -> None:
    kept = WorkingSet(max_bytes=1_000_000)

    async def too_large(held: Corpus | None) -> Corpus | None:
        return None

    await kept.get(key("ann"), Loader("ann"))
    assert await kept.get(key("ann"), too_large) is None
    assert kept.is_large(key("ann"))
    assert not kept.is_large(key("bob"))
    assert kept.nbytes == 0
    kept.forget_large(key("ann"))
    assert not kept.is_large(key("ann"))


async def test_closing_cancels_loads_and_drops_everything() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    await kept.get(key("bob"), Loader("bob"))
    load.gate.clear()
    waiting = [asyncio.create_task(kept.get(key("ann"), load))]
    await settle()
    waiting.append(asyncio.create_task(kept.get(key("ann"), load)))
    await settle()
    await kept.aclose()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert kept.nbytes == 0


@given(
    bound=st.integers(0, 40_000),
    asks=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 3), st.integers(0, 8_000)), max_size=30),
)
def test_the_bound_holds_and_owners_never_mix(bound: int, asks: list[tuple[str, int, int]]) -> None:
    async def play() -> None:
        kept = WorkingSet(max_bytes=bound)
        loaders = {name: Loader(name) for name in "abcdef"}
        for name, generation, chars in asks:
            load = loaders[name]
            load.generation, load.chars = generation, chars
            corpus = await kept.get(key(name), load)
            assert owner_of(corpus) == name
            assert corpus is not None
            assert corpus.generation == generation
            assert 0 <= kept.nbytes <= bound
            assert kept.nbytes == sum(each.nbytes for each in kept._kept.values())
        assert kept.hits + kept.misses == len(asks)
        assert not kept._flights

    asyncio.run(play())


def said(number: int, *, after: int) -> Change:
    record = MemoryRecord(
        id=f"n{number}",
        user_id="ann",
        content=f"fact {number}",
        embedding=unit(np.ones(4)),
        embedding_model="test",
        created_at=10 + number,
        updated_at=10 + number,
    )
    return Change("ann", after=after, put=[record])


async def test_what_is_kept_is_at_hand_where_it_stands() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    assert kept.at_hand(key("ann"), lambda _: True) is None
    first = await kept.get(key("ann"), load)
    asked: list[int] = []
    assert kept.at_hand(key("ann"), lambda generation: not asked.append(generation)) is first
    assert asked == [1]
    assert kept.at_hand(key("ann"), lambda _: False) is None
    assert kept.at_hand(key("ann"), lambda _: None) is None
    assert kept.at_hand(key("bob"), lambda _: True) is None
    assert (kept.hits, kept.misses) == (1, 1)


async def test_nothing_is_at_hand_while_a_load_is_under_way() -> None:
    kept, load = WorkingSet(max_bytes=1_000_000), Loader("ann")
    await kept.get(key("ann"), load)
    load.gate.clear()
    asking = asyncio.create_task(kept.get(key("ann"), load))
    await settle()
    assert kept.at_hand(key("ann"), lambda _: True) is None
    load.gate.set()
    await asking
    assert kept.at_hand(key("ann"), lambda _: True) is not None


async def test_what_this_process_changed_is_worked_in_at_once() -> None:
    kept = WorkingSet(max_bytes=1_000_000, follow=Follower(analyzer=ANALYZER, limit=10))

    async def load(held: Corpus | None) -> Corpus | None:
        records = [record for number in range(4) for record in said(number, after=0).put]
        return await build_corpus(records, analyzer=ANALYZER, generation=1)

    await kept.get(key("ann"), load)
    kept.changed(said(7, after=1), 2)
    corpus = kept.at_hand(key("ann"), lambda generation: generation == 2)
    assert corpus is not None
    assert [record.id for record in corpus.records] == ["n7", "n3", "n2", "n1", "n0"]
    assert kept.held(key("ann")) is corpus
    kept.changed(said(8, after=2), 3)
    assert kept.at_hand(key("ann"), lambda generation: generation == 4) is None  # somebody else has written, too
    assert kept.nbytes == sum(each.nbytes for each in kept._kept.values())


async def test_what_was_changed_is_worked_in_ahead_of_the_next_question() -> None:
    kept = WorkingSet(max_bytes=1_000_000, follow=Follower(analyzer=ANALYZER, limit=10))

    async def load(held: Corpus | None) -> Corpus | None:
        records = [record for number in range(4) for record in said(number, after=0).put]
        return await build_corpus(records, analyzer=ANALYZER, generation=1)

    first = await kept.get(key("ann"), load)
    kept.changed(said(7, after=1), 2)
    kept.catch_up("bob")
    assert kept.held(key("ann")) is first
    kept.catch_up("ann")
    ahead = kept.held(key("ann"))
    assert ahead is not None
    assert (ahead.records[0].id, ahead.generation) == ("n7", 2)
    assert kept.at_hand(key("ann"), lambda generation: generation == 2) is ahead
    assert (kept.hits, kept.nbytes) == (1, ahead.nbytes)


async def test_what_takes_long_or_grows_too_large_is_not_worked_in_at_once() -> None:
    for limit, chars in ((4, 10), (10, 20_000)):
        kept = WorkingSet(max_bytes=1_000_000, follow=Follower(analyzer=ANALYZER, limit=limit))

        async def load(held: Corpus | None) -> Corpus | None:
            records = [record for number in range(4) for record in said(number, after=0).put]
            return held or await build_corpus(records, analyzer=ANALYZER, generation=1)

        await kept.get(key("ann"), load)
        [record] = said(7, after=1).put
        kept.changed(Change("ann", after=1, put=[msgspec.structs.replace(record, content="x y " * chars)]), 2)
        assert kept.at_hand(key("ann"), lambda _: True) is None
        corpus = await kept.get(key("ann"), load)
        assert corpus is not None
        assert len(corpus.records) == (4 if limit == 4 else 5)

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.errors import EmbeddingError, StoreUnavailable
from memrouter.memory.policy import RecallPolicy
from memrouter.memory.retrieval.retrieve import MAX_QUERY_CHARS, Retriever, bounded
from memrouter.memory.retrieval.words import Analyzer
from memrouter.memory.retrieval.working_set import WorkingSet
from memrouter.models.memory import Matrix, MemoryRecord, MemoryType, Scope
from memrouter.stores.query import Candidates, Filter, StoreQuery
from memrouter.stores.sqlite.store import SqliteStore
from memrouter.testing.edits import edit

POLICY = RecallPolicy(limit=5, threshold=0.6)
EMBEDDER = HashEmbedder(64)
ANN = Scope("ann")


class FixedClock:
    """Stands still until told to move."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000


class WatchedStore(SqliteStore):
    """The real store, with every query noted."""

    def watch(self) -> None:
        self.queries: list[StoreQuery] = []
        self.leaked: MemoryRecord | None = None
        self.down = False

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        self.queries.append(query)
        if self.down:
            raise StoreUnavailable("down")
        answer = await super().search(scope, query)
        if self.leaked is not None and answer.records is not None:
            return replace(answer, records=[self.leaked, *answer.records], scores=None)
        return answer


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[WatchedStore]:
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    opened = await WatchedStore.open(settings, dimension=64, embedding_model=EMBEDDER.info.model)
    assert isinstance(opened, WatchedStore)
    opened.watch()
    yield opened
    await opened.aclose()


class SlowStore(WatchedStore):
    """A store whose answers arrive when they may."""

    def watch(self) -> None:
        super().watch()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def search(self, scope: Scope, query: StoreQuery) -> Candidates:
        await self.may_answer.wait()
        return await super().search(scope, query)

    def answers_once_ranked(self) -> Callable[[MemoryRecord], bool]:
        """Hold answers back until a ranking has asked what this returns, which is no for every memory."""
        self.may_answer.clear()

        def known(record: MemoryRecord) -> bool:
            self.may_answer.set()
            return False

        return known


class Desk:
    """A retriever over the store, and a way to fill it."""

    def __init__(self, store: WatchedStore, *, scan_limit: int = 100, max_bytes: int = 10_000_000) -> None:
        self.store = store
        self.clock = FixedClock()
        self.working_set = WorkingSet(max_bytes=max_bytes)
        self.retriever = Retriever(
            store=store,
            embedder=EMBEDDER,
            working_set=self.working_set,
            analyzer=Analyzer(),
            clock=self.clock,
            scan_limit=scan_limit,
        )

    async def add(self, user: str, *contents: str, **fields: Any) -> list[MemoryRecord]:
        vectors = await EMBEDDER.embed(contents)
        known = len(self.store.queries)
        records = [
            MemoryRecord(
                id=f"{user}-{content}-{known}"[:64],
                user_id=user,
                content=content,
                embedding=vector,
                embedding_model=EMBEDDER.info.model,
                created_at=self.clock.now,
                updated_at=self.clock.now,
                **fields,
            )
            for content, vector in zip(contents, vectors, strict=True)
        ]
        await self.store.create(records)
        return records

    async def found(self, text: str, scope: Scope = ANN, policy: RecallPolicy = POLICY) -> list[str]:
        recall = await self.retriever.recall(scope, text, policy)
        return [hit.record.content for hit in recall.hits]


async def test_a_memory_that_bears_on_the_question_is_found(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "my cat is called Luna", "the printer needs toner")
    assert await desk.found("what is my cat called?") == ["my cat is called Luna"]


async def test_nobody_sees_the_memories_of_others(store: WatchedStore) -> None:
    desk = Desk(store)
    names = ["ann", "Ann", "a,b", "a|b", "*", "an"]
    for name in names:
        await desk.add(name, f"the cat of number {names.index(name)}")
    for _ in range(2):
        for name in names:
            assert await desk.found("the cat", Scope(name)) == [f"the cat of number {names.index(name)}"]
    assert await desk.found("the cat", Scope("nobody")) == []


async def test_a_store_that_leaks_another_owners_memory_leaks_no_further(store: WatchedStore) -> None:
    desk = Desk(store)
    [store.leaked] = await desk.add("bob", "the secret cat")
    await desk.add("ann", "the open cat")
    assert await desk.found("cat") == ["the open cat"]
    assert await Desk(store, scan_limit=0).found("cat") == ["the open cat"]


async def test_projects_are_kept_apart_unless_all_are_asked_for(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat at home")
    await desk.add("ann", "the cat at work", project_id="work")
    assert await desk.found("the cat", Scope("ann", "work")) == ["the cat at work"]
    assert await desk.found("the cat", Scope("ann")) == ["the cat at home"]
    assert len(await desk.found("the cat", Scope("ann", None))) == 2


async def test_only_the_asked_types_are_found(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat sleeps", type=MemoryType.SEMANTIC)
    await desk.add("ann", "the cat jumps", type=MemoryType.EPISODIC)
    semantic = replace(POLICY, types=frozenset({MemoryType.SEMANTIC}))
    assert await desk.found("the cat", policy=semantic) == ["the cat sleeps"]
    assert len(await desk.found("the cat")) == 2


async def test_a_retrieval_is_one_round_trip_and_an_unchanged_owner_is_not_read_again(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat")
    for _ in range(3):
        assert await desk.found("cat") == ["the cat"]
    assert [query.known_generation for query in store.queries] == [None, 1, 1]
    assert all(query.vector is None for query in store.queries)
    assert (desk.working_set.hits, desk.working_set.misses) == (2, 1)


async def test_each_write_is_seen_by_the_next_retrieval(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat")
    assert await desk.found("cat") == ["the cat"]
    [purring] = await desk.add("ann", "the cat purrs")
    assert len(await desk.found("cat")) == 2
    vectors = await EMBEDDER.embed(["the dog"])
    await edit(store, ANN, purring.id, now=5, content="the dog", embedding=vectors[0])
    assert await desk.found("cat") == ["the cat"]
    await store.delete(ANN, Filter())
    assert await desk.found("cat") == []


@pytest.fixture
async def slow_store(store: WatchedStore, tmp_path: Path) -> AsyncIterator[SlowStore]:
    """A second store on the same file: what goes past it, the kept corpora are not told of."""
    settings = SqliteSettings(path=str(tmp_path / "memories.db"), synchronous="normal")
    opened = await SlowStore.open(settings, dimension=64, embedding_model=EMBEDDER.info.model)
    assert isinstance(opened, SlowStore)
    opened.watch()
    yield opened
    await opened.aclose()


async def test_what_is_kept_is_ranked_while_the_store_is_asked(slow_store: SlowStore) -> None:
    desk = Desk(slow_store)
    await desk.add("ann", "the cat sleeps")
    assert await desk.found("the cat") == ["the cat sleeps"]
    async with asyncio.timeout(5):
        recall = await desk.retriever.recall(ANN, "the cat", POLICY, known=slow_store.answers_once_ranked())
    assert [hit.record.content for hit in recall.hits] == ["the cat sleeps"]
    assert len(slow_store.queries) == 2


async def test_what_was_ranked_ahead_is_dropped_where_the_store_has_changed(
    store: WatchedStore, slow_store: SlowStore
) -> None:
    desk = Desk(slow_store)
    [old] = await desk.add("ann", "the cat sleeps")
    assert await desk.found("the cat") == ["the cat sleeps"]
    await store.delete(ANN, Filter(ids=frozenset({old.id})))
    await Desk(store).add("ann", "the cat purrs")
    async with asyncio.timeout(5):
        recall = await desk.retriever.recall(ANN, "the cat", POLICY, known=slow_store.answers_once_ranked())
    assert [hit.record.content for hit in recall.hits] == ["the cat purrs"]


async def test_what_was_ranked_ahead_is_not_given_where_the_store_fails(slow_store: SlowStore) -> None:
    desk = Desk(slow_store)
    await desk.add("ann", "the cat sleeps")
    await desk.found("the cat")
    slow_store.down = True
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            await desk.retriever.recall(ANN, "the cat", POLICY, known=slow_store.answers_once_ranked())


async def test_an_expired_memory_is_not_found_though_it_is_kept(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat", expires_at=desk.clock.now + 10)
    assert await desk.found("cat") == ["the cat"]
    desk.clock.now += 10
    assert await desk.found("cat") == []
    assert desk.working_set.hits == 1


async def test_an_owner_over_the_scan_limit_is_found_by_vectors_and_words(store: WatchedStore) -> None:
    desk = Desk(store, scan_limit=3)
    await desk.add("ann", *(f"filler number {i}" for i in range(20)), "badge EMP-90210 is mine")
    assert await desk.found("EMP-90210") == ["badge EMP-90210 is mine"]
    assert len(store.queries) == 2
    assert await desk.found("which badge is mine?") == ["badge EMP-90210 is mine"]
    assert len(store.queries) == 3
    assert store.queries[-1].vector is not None
    assert "badg" in store.queries[-1].words


async def test_an_owner_who_shrinks_below_the_scan_limit_is_kept_again(store: WatchedStore) -> None:
    desk = Desk(store, scan_limit=3)
    await desk.add("ann", "the cat", *(f"filler number {i}" for i in range(20)))
    await desk.found("cat")
    await store.delete(ANN, Filter(ids=frozenset(f"ann-filler number {i}-0" for i in range(20))))
    for _ in range(3):
        assert await desk.found("cat") == ["the cat"]
    assert (desk.working_set.hits, desk.working_set.misses) == (1, 2)


@pytest.mark.parametrize("hybrid", [True, False])
async def test_whole_owners_and_candidates_give_the_same_scores(store: WatchedStore, hybrid: bool) -> None:
    whole, partial = Desk(store), Desk(store, scan_limit=0)
    await whole.add("ann", "the cat is called Luna", "the dog is called Rex", "toner for the printer")
    policy = replace(POLICY, hybrid=hybrid, threshold=0, adaptive=False)
    one = await whole.retriever.recall(ANN, "cat called Luna", policy)
    other = await partial.retriever.recall(ANN, "cat called Luna", policy)
    assert [(hit.record.id, hit.score) for hit in one.hits] == [(hit.record.id, hit.score) for hit in other.hits]


async def test_without_words_no_words_are_asked_for(store: WatchedStore) -> None:
    desk = Desk(store, scan_limit=0)
    await desk.add("ann", "the cat")
    assert await desk.found("cat", policy=replace(POLICY, hybrid=False)) != []
    assert store.queries[-1].words == ()


async def test_a_working_set_of_no_bytes_changes_no_answer(store: WatchedStore) -> None:
    desk = Desk(store, max_bytes=0)
    await desk.add("ann", "the cat")
    for _ in range(2):
        assert await desk.found("cat") == ["the cat"]
    assert desk.working_set.nbytes == 0


async def test_many_at_once_share_the_reading_and_stay_apart(store: WatchedStore) -> None:
    desk = Desk(store)
    for user in range(5):
        await desk.add(f"user{user}", f"the cat number {user}")
    answers = await asyncio.gather(*(desk.found("the cat", Scope(f"user{i % 5}")) for i in range(50)))
    assert answers == [[f"the cat number {i % 5}"] for i in range(50)]
    assert len(store.queries) == 5


@pytest.mark.parametrize("text", ["", " \n\t "])
async def test_a_blank_question_finds_nothing_and_asks_nobody(store: WatchedStore, text: str) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat")
    assert await desk.found(text) == []
    assert store.queries == []


async def test_a_very_long_question_is_searched_by_both_its_ends(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "zebra", "giraffe")
    long = "zebra " + "x" * 1_000_000 + " giraffe"
    recall = await desk.retriever.recall(ANN, long, replace(POLICY, threshold=0))
    assert {hit.record.content for hit in recall.hits if hit.lexical_score > 0} == {"zebra", "giraffe"}
    assert len(bounded(long)) == MAX_QUERY_CHARS + 1
    assert bounded("short") == "short"


async def test_failures_of_the_store_reach_the_caller_and_pass(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat")
    store.down = True
    with pytest.raises(StoreUnavailable):
        await desk.found("cat")
    store.down = False
    assert await desk.found("cat") == ["the cat"]


class BrokenEmbedder(HashEmbedder):
    async def embed(self, texts: Sequence[str]) -> Matrix:
        raise EmbeddingError("no model")


async def test_failures_of_the_embedder_reach_the_caller(store: WatchedStore) -> None:
    retriever = Retriever(
        store=store,
        embedder=BrokenEmbedder(64),
        working_set=WorkingSet(max_bytes=0),
        analyzer=Analyzer(),
        clock=FixedClock(),
        scan_limit=10,
    )
    with pytest.raises(EmbeddingError):
        await retriever.recall(ANN, "cat", POLICY)


async def test_what_is_kept_and_stands_is_recalled_at_once_as_if_awaited(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "my cat is called Luna", "the printer needs toner", "the cat Luna sleeps on the printer")
    for question in ("what is my cat called?", "who is Luna?", "zebra", " ".join(f"word{i}" for i in range(90))):
        awaited = await desk.retriever.recall(ANN, question, POLICY)
        known = len(store.queries)
        recall = desk.retriever.at_once(ANN, question, POLICY)
        assert recall is not None
        assert [(hit.record.id, hit.score) for hit in recall.hits] == [
            (hit.record.id, hit.score) for hit in awaited.hits
        ]
        assert (recall.considered, recall.best_miss) == (awaited.considered, awaited.best_miss)
        assert len(store.queries) == known


async def test_nothing_is_recalled_at_once_that_is_not_kept_or_does_not_stand(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat sleeps")
    assert desk.retriever.at_once(ANN, "the cat", POLICY) is None
    assert await desk.found("the cat") == ["the cat sleeps"]
    assert desk.retriever.at_once(ANN, "the cat", POLICY) is not None
    assert desk.retriever.at_once(Scope("bob"), "the cat", POLICY) is None
    assert desk.retriever.at_once(ANN, "  ", POLICY) is None
    await desk.add("ann", "the cat purrs")
    assert desk.retriever.at_once(ANN, "the cat", POLICY) is None
    assert sorted(await desk.found("the cat")) == ["the cat purrs", "the cat sleeps"]


async def test_long_texts_are_left_to_who_can_wait(store: WatchedStore) -> None:
    desk = Desk(store)
    await desk.add("ann", "the cat sleeps")
    await desk.found("the cat")
    hits = desk.working_set.hits
    assert desk.retriever.at_once(ANN, "the cat " * 400, POLICY) is None
    assert desk.working_set.hits == hits

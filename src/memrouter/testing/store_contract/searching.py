# ruff: noqa: D102 - the name of a test is its claim
"""``search``: exact order, whole owners, words, generations."""

import numpy as np
import pytest

from memrouter.errors import SchemaMismatch
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Vector, unit
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import Candidates, Filter, StoreQuery
from memrouter.testing.records import NOW, RecordFactory
from memrouter.testing.store_contract.base import ALICE, LATER, ContractBase, ids

TOLERANCE = 1e-5

HOSTILE_WORDS = (
    "", '"', '""', "'", "*", "tea*", "^tea", "-tea", "+", "(", ")", "tea)", "NEAR", "near(a", "and", "or", "not",
    "AND", "OR", "NOT", 'x" OR "tea', "owner:1", 'owner : "1"', "content:tea", "{tea}", "[tea]", "tea:tea", "@content",
    "|", "~tea", "%tea%", "t_a", "te?", "\\", "\\tea", "tea\\", "\0", "tea\0", "\ud800", ";--", "🧠", "\u200b", "%",
    "x" * 20_000, "$tea", "1=1", "=>[KNN", "a'b", "`", "{", "}", "|", "<", ">", "=", "!", "#", "/", ",", ".", "  ",
)  # fmt: skip


def reference(records: list[MemoryRecord], vector: Vector) -> list[tuple[str, float]]:
    """Return ids and scores in the order that a search must have."""
    scored = [(_score(record, vector), record.created_at, record.id) for record in records]
    return [(memory_id, score) for score, _, memory_id in sorted(scored, reverse=True)]


def _score(record: MemoryRecord, vector: Vector) -> float:
    cosine = float(np.dot(record.embedding.astype(np.float64), vector.astype(np.float64)))
    return (1 + cosine) / 2


def assert_ranked(answer: Candidates, expected: list[tuple[str, float]]) -> None:
    """Check ids and scores against the reference; scores nearer than the tolerance may stand either way."""
    assert answer.records is not None
    assert answer.scores is not None
    assert list(answer.scores) == sorted(answer.scores, reverse=True)
    assert list(answer.scores) == pytest.approx([score for _, score in expected], abs=TOLERANCE)
    wanted = dict(expected)
    assert len(answer.records) == len({record.id for record in answer.records}) == len(expected)
    for record, score in zip(answer.records, answer.scores, strict=True):
        assert score == pytest.approx(wanted[record.id], abs=TOLERANCE)


async def found(store: MemoryStore, query: StoreQuery, scope: Scope = ALICE) -> list[str]:
    """Return the ids that a search gives."""
    answer = await store.search(scope, query)
    assert answer.records is not None
    return ids(list(answer.records))


class SearchingContract(ContractBase):
    """What holds for ``search``."""

    async def test_an_empty_owner_has_no_candidates(self, store: MemoryStore, make: RecordFactory) -> None:
        answer = await store.search(ALICE, StoreQuery(vector=make.vector("tea"), words=("tea",), k=5, now=LATER))
        assert (list(answer.records or ()), list(answer.scores or ()), answer.generation) == ([], [], 0)

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("k", [1, 7, 200])
    async def test_the_nearest_are_those_of_a_brute_force_search(
        self, store: MemoryStore, make: RecordFactory, seed: int, k: int
    ) -> None:
        random = np.random.default_rng(seed)
        centre = random.standard_normal(store.capabilities.dimension)
        vectors = unit(random.standard_normal((120, store.capabilities.dimension)) + centre * random.uniform(0, 3))
        records = [make.make(embedding=vector, created_at=NOW + int(random.integers(40))) for vector in vectors]
        others = [make.make(embedding=vector, user_id="bob") for vector in vectors[:30]]
        await store.create(records + others)
        query = unit(random.standard_normal(store.capabilities.dimension) + centre)
        for limit in (0, 119):
            answer = await store.search(ALICE, StoreQuery(vector=query, k=k, now=LATER, scan_limit=limit))
            assert_ranked(answer, reference(records, query)[:k])
        whole = await store.search(ALICE, StoreQuery(vector=query, k=k, now=LATER, scan_limit=120))
        assert_ranked(whole, reference(records, query))

    async def test_scores_run_from_zero_to_one(self, store: MemoryStore, make: RecordFactory) -> None:
        axes = np.eye(2, store.capabilities.dimension, dtype=np.float32)
        same, opposite, across = (
            make.make(embedding=axes[0]),
            make.make(embedding=-axes[0]),
            make.make(embedding=axes[1]),
        )
        await store.create([opposite, same, across])
        answer = await store.search(ALICE, StoreQuery(vector=axes[0], k=3, now=LATER))
        assert_ranked(answer, [(same.id, 1.0), (across.id, 0.5), (opposite.id, 0.0)])
        assert await found(store, StoreQuery(vector=axes[0], k=3, now=LATER)) == [same.id, across.id, opposite.id]

    @pytest.mark.parametrize("scan_limit", [0, 1000])
    async def test_among_equally_near_ones_the_newest_comes_first(
        self, store: MemoryStore, make: RecordFactory, scan_limit: int
    ) -> None:
        vector = make.vector("tea")
        near = [make.make(embedding=vector, created_at=NOW + number // 3) for number in range(67)]
        noise = [make.make() for _ in range(30)]
        await store.create([record for pair in zip(near[:30], noise, strict=True) for record in pair] + near[30:])
        expected = ids(sorted(near, key=lambda record: (record.created_at, record.id), reverse=True))
        query = StoreQuery(vector=vector, k=67, now=LATER, scan_limit=scan_limit)
        assert (await found(store, query))[:67] == expected
        few = StoreQuery(vector=vector, k=5, now=LATER, scan_limit=scan_limit)
        assert (await found(store, few))[:5] == expected[:5]

    async def test_a_small_owner_is_answered_whole(self, store: MemoryStore, make: RecordFactory) -> None:
        records = make.many(6, type=MemoryType.SEMANTIC)
        hidden = [make.make(superseded_by="m9"), make.make(expires_at=LATER)]
        await store.create([*records, *hidden, *make.many(5, user_id="bob"), *make.many(5, project_id="apollo")])
        answer = await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=6))
        assert answer.complete
        assert answer.scores is None
        assert answer.records is not None
        assert ids(list(answer.records)) == ids(records)[::-1]
        answer = await store.search(ALICE, StoreQuery(vector=make.vector("tea"), k=1, now=LATER, scan_limit=6))
        assert answer.complete
        assert_ranked(answer, reference(records, make.vector("tea")))

    async def test_an_owner_past_the_scan_limit_is_not_answered_whole(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = make.many(7)
        await store.create(records)
        for limit in (0, 1, 6):
            answer = await store.search(
                ALICE, StoreQuery(vector=records[0].embedding, k=2, now=LATER, scan_limit=limit)
            )
            assert not answer.complete
            assert len(answer.records or ()) == 2
            empty = await store.search(ALICE, StoreQuery(vector=None, k=2, now=LATER, scan_limit=limit))
            assert (list(empty.records or ()), empty.complete) == ([], False)

    async def test_the_size_of_an_owner_is_that_of_the_scope_not_of_the_filter(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        await store.create([*make.many(4), *make.many(2, type=MemoryType.SEMANTIC)])
        where = Filter(types=frozenset({MemoryType.SEMANTIC}))
        past = StoreQuery(vector=make.vector("x"), k=1, now=LATER, scan_limit=5, where=where)
        assert len(await found(store, past)) == 1
        within = StoreQuery(vector=make.vector("x"), k=1, now=LATER, scan_limit=6, where=where)
        assert len(await found(store, within)) == 2

    async def test_a_filter_holds_on_both_sides(self, store: MemoryStore, make: RecordFactory) -> None:
        chosen = make.make("green tea", type=MemoryType.SEMANTIC, conversation_id="c1")
        await store.create([make.make("green tea"), chosen, make.make("green tea", type=MemoryType.SEMANTIC)])
        where = Filter(types=frozenset({MemoryType.SEMANTIC}), conversation_id="c1")
        assert await found(store, StoreQuery(vector=chosen.embedding, k=5, now=LATER, where=where)) == [chosen.id]
        assert await found(store, StoreQuery(vector=None, words=("tea",), k=5, now=LATER, where=where)) == [chosen.id]

    @pytest.mark.parametrize("scan_limit", [0, 1000])
    async def test_superseded_and_expired_memories_are_not_candidates(
        self, store: MemoryStore, make: RecordFactory, scan_limit: int
    ) -> None:
        seen = make.make("tea", expires_at=LATER + 1)
        await store.create([seen, make.make("tea", superseded_by="m9"), make.make("tea", expires_at=LATER)])
        query = StoreQuery(vector=seen.embedding, words=("tea",), k=9, now=LATER, scan_limit=scan_limit)
        assert await found(store, query) == [seen.id]

    async def test_the_word_side_gives_the_newest_that_hold_any_word(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        records = [make.make(f"{word} number {number}") for number in range(6) for word in ("tea", "milk", "juice")]
        await store.create(list(reversed(records)))
        expected = [record.id for record in reversed(records) if not record.content.startswith("juice")]
        for k in (1, 5, 12, 50):
            assert (
                await found(store, StoreQuery(vector=None, words=("tea", "milk", "cocoa"), k=k, now=LATER))
                == expected[:k]
            )

    async def test_words_match_whole_words_in_any_case(self, store: MemoryStore, make: RecordFactory) -> None:
        record = make.make("My badge is EMP-90210, in ZÜRICH; ask Anna!")
        await store.create([record, make.make("teapot"), make.make("nothing of it")])
        for word in ("badge", "90210", "zürich", "anna", "ask"):
            assert await found(store, StoreQuery(vector=None, words=(word,), k=5, now=LATER)) == [record.id]
        assert await found(store, StoreQuery(vector=None, words=("tea",), k=5, now=LATER)) == []

    async def test_both_sides_are_joined_without_repeats_and_ranked_by_their_vectors(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        axes = np.eye(3, store.capabilities.dimension, dtype=np.float32)
        near = make.make("walrus close by", embedding=axes[0])
        far = make.make("walrus far away", embedding=-axes[0])
        filler = [make.make("nothing", embedding=unit(axes[0] + axes[1] * number)) for number in range(1, 6)]
        await store.create([far, near, *filler])
        query = StoreQuery(vector=axes[0], words=("walrus",), k=2, now=LATER)
        assert_ranked(await store.search(ALICE, query), reference([near, filler[0], far], axes[0]))
        assert await found(store, query) == [near.id, filler[0].id, far.id]

    async def test_a_word_is_never_an_operator_nor_a_pattern(self, store: MemoryStore, make: RecordFactory) -> None:
        other = make.make("teapot green", user_id="bob")
        mine = make.make("teapot")
        await store.create([mine, other])
        for word in HOSTILE_WORDS:
            hits = await found(store, StoreQuery(vector=None, words=(word,), k=9, now=LATER))
            assert hits == [], f"the word {word[:20]!r} found {hits}"
        hostile = StoreQuery(vector=None, words=(*HOSTILE_WORDS, "teapot"), k=9, now=LATER)
        assert await found(store, hostile) == [mine.id]

    async def test_a_standing_generation_may_be_answered_unchanged_and_an_old_one_never(
        self, store: MemoryStore, make: RecordFactory
    ) -> None:
        await store.create(make.many(3))
        first = await store.search(ALICE, StoreQuery(vector=None, k=1, now=LATER, scan_limit=9))
        again = StoreQuery(vector=None, k=1, now=LATER, scan_limit=9, known_generation=first.generation)
        answer = await store.search(ALICE, again)
        assert answer.generation == first.generation
        assert answer.unchanged or len(answer.records or ()) == 3
        if answer.unchanged:
            assert answer.scores is None
        await store.create([make.make()])
        fresh = await store.search(ALICE, again)
        assert not fresh.unchanged
        assert fresh.generation > first.generation
        assert len(fresh.records or ()) == 4

    @pytest.mark.parametrize("fault", ["longer", "shorter", "nan", "zero"])
    async def test_a_query_vector_that_does_not_fit_is_refused(
        self, store: MemoryStore, make: RecordFactory, fault: str
    ) -> None:
        await store.create(make.many(2))
        vector = make.vector("tea")
        faults = {
            "longer": unit(np.append(vector, 1)),
            "shorter": unit(vector[:-1]),
            "nan": vector * np.float32(np.nan),
            "zero": vector * np.float32(0),
        }
        with pytest.raises(SchemaMismatch):
            await store.search(ALICE, StoreQuery(vector=faults[fault], k=1, now=LATER))

"""What is known of an owner without a search: it may suspect too much, and must miss nothing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from memrouter.config.keeping import DeduplicationSettings
from memrouter.config.memory import MemorySettings
from memrouter.embeddings.wordllama import WordLlamaEmbedder
from memrouter.memory.storing import outlines
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.storing.duplicates import Pool
from memrouter.memory.storing.outlines import Outline, Outlines
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, unit
from memrouter.stores.query import MergeMode
from memrouter.testing.records import NOW, RecordFactory

from ..fault_stores import Breaking
from ..gates import ANNA, Bench, open_store, turn

THRESHOLD = 0.9


def records_of(texts: list[str], turns: list[int]) -> list[MemoryRecord]:
    """Return memories whose vectors are those of a few common words, so that many are near."""
    made = []
    for number, (text, index) in enumerate(zip(texts, turns, strict=True)):
        vector = np.array([1.0, *(text.casefold().count(word) for word in ("tea", "red", "not"))], dtype=np.float32)
        made.append(
            MemoryRecord(
                id=f"m{number}",
                user_id="anna",
                content=text,
                embedding=unit(vector),
                embedding_model="words",
                created_at=NOW,
                updated_at=NOW,
                conversation_id="c1" if index else None,
                turn_index=index or None,
            )
        )
    return made


sentences = st.lists(st.sampled_from(["tea", "Tea", "red", "not", "the", "I like", "on 3 May", "!"]), min_size=1).map(
    " ".join
)


@given(st.lists(st.tuples(sentences, st.integers(0, 3)), min_size=1, max_size=12), sentences, st.integers(0, 3))
def test_every_twin_is_suspected(kept: list[tuple[str, int]], text: str, index: int) -> None:
    *held, new = records_of([*(text for text, _ in kept), text], [*(turn for _, turn in kept), index])
    settings = DeduplicationSettings(similarity_threshold=THRESHOLD)
    twin = Pool(held, room=1, settings=settings).twin(new)
    outline = Outline(held[: len(held) // 2])
    outline.add(held[len(held) // 2 :])
    assert twin is None or twin.record.id in outline.suspects(new, threshold=THRESHOLD)


async def test_rounding_misses_nothing_at_the_threshold() -> None:
    embedder = WordLlamaEmbedder.load()
    vectors = await embedder.embed(
        [f"I like {a} more than {b}." for a in ("tea", "figs") for b in ("milk", "cake", "rye")]
    )
    record = records_of(["x"], [0])[0]
    held = [replace(record, id=f"m{row}", content=f"m{row}", embedding=vector) for row, vector in enumerate(vectors)]
    outline = Outline(held)
    for one in held:
        for other in held:
            score = (1 + float(other.embedding @ one.embedding)) / 2
            assert other.id in outline.suspects(replace(one, content="new"), threshold=score)


async def test_an_owner_is_read_whole_once_and_not_searched_while_this_router_writes_alone(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        watched = Breaking(store)
        bench = Bench(watched, MemorySettings())
        await bench.say(*(f"I own {number} red pens." for number in range(100)))
        watched.break_at(None)
        for number in range(3):
            await bench.write(turn(f"I painted {number} walls.", number), begun_at=bench.clock.ms)
        # Nor is the generation asked for, and only once what was deleted.
        assert watched.calls == ["get"] + ["commit"] * 3
        assert [outcome.reason for outcome in await bench.write(turn("I OWN 99 red pens."))] == ["exact_duplicate"]


async def test_what_another_router_wrote_is_seen(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        bench, other = (Bench(store, MemorySettings(), seed=seed) for seed in (1, 2))
        for number in range(4):
            await bench.say(f"I own {number} red pens.")
            await other.say(f"I own {number} red pens.", f"I sold {number} blue pens.")
            await bench.say(f"I sold {number} blue pens.")
        assert len(await bench.visible()) == 8


async def test_a_plan_by_an_outline_that_another_router_outdated_is_made_anew(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        bench, other = (Bench(store, MemorySettings(), seed=seed) for seed in (1, 2))
        await bench.say("I own a boat.")
        await other.say("I own a barge.")
        (outcome,) = await bench.write(MemoryDraft("I own a barge."))
        assert outcome.reason == "exact_duplicate"
        assert len(await bench.visible()) == 2


async def test_where_routers_write_in_turn_the_owner_is_not_read_whole_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        watched = Breaking(store, only=frozenset({"scan"}))
        bench, other = Bench(watched, MemorySettings()), Bench(store, MemorySettings(), seed=2)
        await bench.say("I own a red pen.")
        watched.break_at(None)
        for number in range(5):
            await other.say(f"I own {number} red pens.")
            await bench.say(f"I sold {number} blue pens.")
        assert watched.calls == []
        await bench.say("I own a boat.")
        await bench.say("I own a barge.")
        assert watched.calls == ["scan"] * 2  # one page, and the end


async def test_a_large_owner_is_not_outlined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "MAX_MEMORIES", 50)
    async with open_store(tmp_path) as store:
        await store.merge(RecordFactory(store.capabilities).many(51, user_id="anna"), mode=MergeMode.SKIP)
        watched = Breaking(store, only=frozenset({"scan"}))
        bench = Bench(watched, MemorySettings())
        for thing in ("boat", "barge", "canoe"):
            await bench.say(f"I own a {thing}.")
        assert watched.calls == ["scan"]


async def test_outlines_take_no_more_memory_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "MAX_OUTLINE_BYTES", 50_000)
    monkeypatch.setattr(outlines, "MAX_BYTES", 150_000)
    monkeypatch.setattr(outlines, "IDLE_WRITES", 20)
    async with open_store(tmp_path) as store:
        make, held = RecordFactory(store.capabilities), Outlines()
        users = [f"user-{number}" for number in range(8)]
        for user in users:
            await store.merge(make.many(50, user_id=user), mode=MergeMode.SKIP)
        made = [await held.at(user, 1, store) for user in users]
        sizes = [one.size for one in made if one is not None]
        assert 2 <= len(sizes) < len(users)
        assert sum(sizes) <= 150_000
        for _ in range(20):
            assert await held.at(users[1], 1, store) is made[1]
        assert await held.at(users[-1], 1, store) is not None  # in the place of the first one, which nobody asked for
        assert await held.at(users[1], 1, store) is made[1]


async def test_a_text_that_went_is_stored_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        bench = Bench(store, MemorySettings())
        (boat,) = await bench.say("I own a boat.")
        await bench.eraser.forget(ANNA, boat.id, actor=Actor.OWNER)
        (again,) = await bench.write(MemoryDraft("I own a boat."))
        assert again.fate == "stored"
        assert await bench.visible() == ["I own a boat."]


def test_a_turn_is_suspected_whatever_it_says() -> None:
    old, new = records_of(["red tea", "not on 3 May"], [4, 4])
    assert Outline([old]).suspects(new, threshold=None) == {old.id}
    assert Outline([old]).suspects(replace(new, turn_index=5), threshold=None) == set()

"""A search that tells what became of every candidate."""

from typing import Any

import httpx
import pytest

from memrouter.config.memory import ReflectionSettings
from memrouter.embeddings.tokens import TokenCounter
from memrouter.memory.reflection.item_weight import ItemWeight
from memrouter.memory.reflection.reflect import ReflectionFilter
from memrouter.memory.reflection.reflection_algorithms import ReflectionAlgorithms

URL = "/v1/memory"
ALICE = {"x-authz-user-id": "alice"}
CAT = "My cat is called Luna."
PIN = "The pin of my cat flap is 1234."
BAKER = "I work as a baker in Oslo."
WIFI = "The wifi password is on the fridge."


@pytest.fixture
def reflection() -> ReflectionFilter:
    settings = ReflectionSettings(block_patterns=("(?i)pin",), max_inject_tokens=60)
    return ReflectionFilter(
        settings,
        algorithm=ReflectionAlgorithms().find(settings.algorithm),
        weigher=ItemWeight(TokenCounter.load()),
    )


async def search(client: httpx.AsyncClient, query: str = "what is my cat called", **fields: Any) -> dict[str, Any]:
    answer = await client.post(f"{URL}/search", json={"query": query, **fields}, headers=ALICE)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def fill(client: httpx.AsyncClient, *contents: str) -> None:
    for content in contents:
        assert (await client.post(URL, json={"content": content}, headers=ALICE)).status_code == 201


async def test_every_candidate_has_its_scores_its_moves_and_its_reason(client: httpx.AsyncClient) -> None:
    await fill(client, CAT, PIN, BAKER, WIFI)
    found = await search(client, threshold=0.55, explain=True, adaptive_threshold=False)
    candidates = {each["content"]: each for each in found["candidates"]}
    assert set(candidates) == {CAT, PIN, BAKER, WIFI}
    assert [each["rank"] for each in found["candidates"]] == [1, 2, 3, 4]
    assert (candidates[CAT]["place"], candidates[CAT]["dropped"]) == (1, None)
    assert (candidates[PIN]["place"], candidates[PIN]["dropped"]) == (None, "blocked")
    assert found["omitted"] == 0
    for each in candidates.values():
        signals = {signal["name"]: signal for signal in each["signals"]}
        assert {"vector", "words"} <= set(signals)
        assert all(0 <= signal["value"] <= 1 for name, signal in signals.items() if name in ("vector", "words"))
        assert all(
            signal["move"] == signal["rank"] - each["rank"] for signal in signals.values() if signal["rank"] is not None
        )
        assert each["margin"] == pytest.approx(each["score"] - 0.55)
        assert (each["dropped"] == "threshold") == (each["margin"] < 0)
        assert each["recency"] == 1
    assert candidates[CAT]["matched_terms"] == ["cat", "call"]
    assert candidates[CAT]["created_at"] == "2026-01-01T00:00:00.000Z"


async def test_hits_are_those_of_the_same_search_without_explanation(client: httpx.AsyncClient) -> None:
    await fill(client, CAT, PIN, BAKER, WIFI)
    plain = await search(client, threshold=0.5)
    explained = await search(client, threshold=0.5, explain=True)
    assert [each["id"] for each in plain["memories"]] == [each["id"] for each in explained["memories"]]
    assert (plain["candidates"], plain["near_miss"], plain["omitted"]) == (None, None, None)


async def test_the_block_is_what_a_prompt_would_be_given(client: httpx.AsyncClient) -> None:
    await fill(client, CAT, PIN, BAKER)
    block = (await search(client, threshold=0, explain=True, adaptive_threshold=False))["block"]
    assert block.startswith("<memrouter-memories ")
    assert [text in block for text in (CAT, PIN, BAKER)] == [True, False, True]
    far = await search(client, "quantum chromodynamics", threshold=0.99, explain=True)
    assert far["block"] == ""
    assert (await search(client))["block"] is None


async def test_what_is_over_the_limit_and_what_does_not_fit_is_told(client: httpx.AsyncClient) -> None:
    await fill(client, CAT, f"Luna the cat {'sleeps and ' * 40} purrs.", "Luna is the name of the cat next door.")
    over = await search(client, threshold=0, limit=1, explain=True, adaptive_threshold=False)
    assert [each["dropped"] for each in over["candidates"]] == [None, "limit", "limit"]
    full = await search(client, threshold=0, limit=3, explain=True, adaptive_threshold=False)
    assert sorted(str(each["dropped"]) for each in full["candidates"]) == ["None", "None", "budget"]


async def test_when_everything_falls_short_the_best_near_miss_is_named(client: httpx.AsyncClient) -> None:
    await fill(client, CAT, BAKER)
    found = await search(client, "quantum chromodynamics", threshold=0.99, explain=True)
    assert found["memories"] == []
    best = max(found["candidates"], key=lambda each: each["score"])
    assert found["near_miss"] == {
        "id": best["id"],
        "score": best["score"],
        "threshold": 0.99,
        "short_by": pytest.approx(0.99 - best["score"]),
    }
    assert found["near_miss"]["score"] == found["best_miss"]


async def test_an_owner_without_memories_gets_an_empty_explanation(client: httpx.AsyncClient) -> None:
    found = await search(client, explain=True)
    assert (found["memories"], found["candidates"], found["near_miss"], found["omitted"]) == ([], [], None, 0)


async def test_nobody_else_s_memory_is_explained(client: httpx.AsyncClient) -> None:
    await client.post(URL, json={"content": CAT}, headers={"x-authz-user-id": "Alice"})
    assert (await search(client, explain=True, threshold=0))["candidates"] == []

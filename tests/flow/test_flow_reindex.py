"""A router whose store is reindexed under it answers on without memory, and one with the new model remembers."""

import asyncio
from pathlib import Path

from memrouter.config.memory import SqliteSettings
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.stores.embedding_space import EmbeddingSpace
from memrouter.stores.sqlite.reindex import SqliteReindexing
from memrouter.testing.upstream import ScriptedUpstream
from memrouter.transfer.progress import Unseen
from memrouter.transfer.reindex import Reindex

from .servers import CANARY, Router, router_config, running_router

FACT = f"My {CANARY} is called Figaro and I bought it in Porto last spring."
QUESTION = f"How is my {CANARY} called, the one I bought in Porto?"


async def reindex(database: Path) -> int:
    embedder = HashEmbedder()
    target = EmbeddingSpace(embedder.info.model, embedder.info.dimension)
    store = await SqliteReindexing.open(SqliteSettings(path=str(database)), target=target)
    try:
        return (await Reindex(store, embedder, progress=Unseen()).run()).memories
    finally:
        await store.aclose()


async def store_check(router: Router) -> dict[str, str]:
    for _ in range(200):
        check: dict[str, str] = (await router.get("/ready")).json()["checks"]["memory_store"]
        if check["status"] != "ok":
            return check
        await asyncio.sleep(0.05)
    raise AssertionError("/ready never said that the store cannot serve")


async def test_memory_pauses_at_the_switch_and_is_back_with_the_new_model(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]})
        async with running_router(tmp_path, config) as router:
            alice = router.caller("alice")
            await alice.chat(FACT)
            await alice.stored(1)
            assert (await alice.chat(QUESTION)).memory == "used"
            await alice.stored(2)
            assert await reindex(router.database) == 2
            answer = await alice.chat("And what colour is it, do you think?")
            assert (answer.status, answer.text, answer.memory) == (200, "ok", "unavailable")
            check = await store_check(router)
            assert check["status"] == "degraded"
            assert "was reindexed: it keeps vectors of hash-64 (64 numbers) now" in check["detail"]
            assert "restart memrouter" in check["detail"]
        anew = router_config({"scripted": [upstream.endpoint]}, memory={"embedding_model": "hash"})
        async with running_router(tmp_path, anew) as router:
            assert (await router.caller("alice").chat(QUESTION)).memory == "used"
            assert "Figaro" in upstream.requests[-1].body.decode()

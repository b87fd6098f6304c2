"""``/v1/memory/export`` and ``/v1/memory/import``: one user's own memories, and nobody else's."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from memrouter.api.caller import Access
from memrouter.api.memory_transfer import memory_transfer_routes
from memrouter.config.memory import MemoryLimits
from memrouter.embeddings.hashing import HashEmbedder
from memrouter.memory.service import MemoryService
from memrouter.models.memory import MemoryRecord, MemoryType, Scope, Trust
from memrouter.stores.base import MemoryStore
from memrouter.stores.query import MergeMode, ScanQuery
from memrouter.testing.clock import ManualClock
from memrouter.testing.records import RecordFactory, plain
from memrouter.transfer.own import OwnTransfer

EXPORT, IMPORT = "/v1/memory/export", "/v1/memory/import"
ALICE = {"x-authz-user-id": "alice"}
BOB = {"x-authz-user-id": "bob"}
LIMITS = MemoryLimits(import_bytes=200_000, import_line_bytes=4096)

Connect = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]
Build = Callable[[MemoryService | None], FastAPI]


@pytest.fixture
def transfer(store: MemoryStore, clock: ManualClock, service: MemoryService) -> OwnTransfer:
    return OwnTransfer(
        store=store,
        embedder=HashEmbedder(64),
        clock=clock,
        screen=service.gate.admission.screen,
        trim=service.gate.trim,
        require_saving=service.switches.require_saving,
    )


@pytest.fixture
def app(bare_app: FastAPI, build: Build, service: MemoryService, transfer: OwnTransfer, access: Access) -> FastAPI:
    bare_app.include_router(memory_transfer_routes(transfer=transfer, access=access, limits=LIMITS))
    return build(service)


@pytest.fixture
async def records(store: MemoryStore) -> list[MemoryRecord]:
    """Alice's memories, some of them hidden, and one of Bob's."""
    make = RecordFactory(store.capabilities).make
    made = [
        make("likes tea", access_count=3, last_accessed=5),
        make("old", superseded_by="m1"),
        make("gone", expires_at=1),
        make("ships on friday", project_id="work", type=MemoryType.PROCEDURAL),
        make("bob's secret", user_id="bob"),
    ]
    await store.merge(made, mode=MergeMode.SKIP)
    return made


async def kept(store: MemoryStore, user_id: str | None = None) -> list[dict[str, Any]]:
    pages = store.scan(ScanQuery(user_id=user_id))
    return [plain(record) async for page in pages for record in page.records]


def fault(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    error: dict[str, Any] = reply.json()["error"]
    return error


def resealed(lines: list[dict[str, Any]]) -> bytes:
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    trailer = {"kind": "trailer", "count": len(lines) - 1, "sha256": hashlib.sha256(body).hexdigest()}
    return body + json.dumps(trailer).encode() + b"\n"


async def test_an_export_has_all_of_the_callers_memories_and_nobody_elses(
    client: httpx.AsyncClient, records: list[MemoryRecord]
) -> None:
    reply = await client.get(EXPORT, headers=ALICE)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.headers["content-disposition"] == 'attachment; filename="memories.ndjson"'
    first, *lines, last = map(json.loads, reply.text.splitlines())
    assert [line["content"] for line in lines] == ["likes tea", "old", "gone", "ships on friday"]
    assert (first["count"], last["count"]) == (4, 4)
    assert "bob" not in reply.text
    assert "sqlite" in reply.text


async def test_an_export_can_be_of_one_project_and_without_vectors(
    client: httpx.AsyncClient, records: list[MemoryRecord]
) -> None:
    params = {"project_id": "work", "vectors": "false"}
    reply = await client.get(EXPORT, params=params, headers=ALICE)
    _, line, last = map(json.loads, reply.text.splitlines())
    assert (line["content"], line["embedding"], last["count"]) == ("ships on friday", None, 1)


async def test_what_was_exported_comes_back_bit_by_bit_but_for_its_trust(
    client: httpx.AsyncClient, records: list[MemoryRecord], store: MemoryStore
) -> None:
    before = await kept(store)
    data = (await client.get(EXPORT, headers=ALICE)).content
    assert (await client.delete("/v1/memory", headers=ALICE)).json()["deleted"] == 3
    reply = await client.post(IMPORT, content=data, headers=ALICE)
    assert reply.status_code == 200
    result = reply.json()
    assert (result["read"], result["added"], result["kept"]) == (4, 3, 1)
    assert result["sha256"] == json.loads(data.splitlines()[-1])["sha256"]
    taken = {record.id for record in records[:3]}  # what was still there keeps its trust
    assert await kept(store) == [
        record | {"trust": Trust.IMPORT} if record["id"] in taken else record for record in before
    ]


@pytest.mark.parametrize("merge", ["skip", "replace", "newer"])
async def test_a_file_raises_no_trust_and_nothing_in_it_comes_from_the_future(
    client: httpx.AsyncClient, store: MemoryStore, clock: ManualClock, merge: str
) -> None:
    make = RecordFactory(store.capabilities).make
    await store.merge([make("from a tool", id="tool", trust=Trust.TOOL)], mode=MergeMode.SKIP)
    lines = list(map(json.loads, (await client.get(EXPORT, headers=ALICE)).text.splitlines()[:-1]))
    ahead = clock.ms + 3_600_000
    lies = {"trust": "direct_user", "created_at": ahead, "updated_at": ahead, "last_accessed": ahead}
    forged = [lines[0], lines[1] | lies, lines[1] | lies | {"id": "new", "content": "another one"}]
    reply = await client.post(IMPORT, params={"merge": merge}, content=resealed(forged), headers=ALICE)
    assert reply.json()["refused"] == 0, reply.text
    found = {record["id"]: record for record in await kept(store, "alice")}
    assert {record["trust"] for record in found.values()} <= {Trust.TOOL, Trust.IMPORT}
    assert found["new"]["trust"] is Trust.IMPORT
    assert {found["new"][name] for name in ("created_at", "updated_at", "last_accessed")} == {clock.ms}


async def test_a_memory_with_the_highest_count_is_exported_after_its_next_access(
    client: httpx.AsyncClient, store: MemoryStore, clock: ManualClock
) -> None:
    record = RecordFactory(store.capabilities).make("much used", access_count=2**53 - 1)
    await store.merge([record], mode=MergeMode.SKIP)
    assert await store.touch(Scope("alice", None), [record.id], now=clock.ms) == 1
    _, line, _ = map(json.loads, (await client.get(EXPORT, headers=ALICE)).text.splitlines())
    assert line["access_count"] == 2**53 - 1


@pytest.mark.parametrize("memory_id", ["../a/b?c#d", "a b", "*{x}'\" or 1=1", "é\u202e", "50%", "stats/x", "~"])
async def test_an_imported_memory_can_be_shown_changed_and_deleted_whatever_its_id(
    client: httpx.AsyncClient, store: MemoryStore, memory_id: str
) -> None:
    make = RecordFactory(store.capabilities).make
    await store.merge([make("mine", id=memory_id), make("stays")], mode=MergeMode.SKIP)
    url = f"/v1/memory/{quote(memory_id, safe='')}"
    assert (await client.get(url, headers=BOB)).status_code == 404
    assert (await client.get(url, headers=ALICE)).json()["content"] == "mine"
    assert (await client.patch(url, json={"importance": 1}, headers=ALICE)).json()["importance"] == 1
    assert (await client.delete(url, headers=ALICE)).status_code == 200
    assert [record["content"] for record in await kept(store)] == ["stays"]


@pytest.mark.parametrize(("mode", "outcome"), [("skip", "kept"), ("replace", "replaced"), ("newer", "kept")])
async def test_merge_modes_decide_about_ids_that_are_there(
    client: httpx.AsyncClient, records: list[MemoryRecord], mode: str, outcome: str
) -> None:
    data = (await client.get(EXPORT, headers=ALICE)).content
    result = (await client.post(IMPORT, params={"merge": mode}, content=data, headers=ALICE)).json()
    assert result[outcome] == result["read"] == 4


async def test_another_users_memories_cannot_be_smuggled_in_or_reached(
    client: httpx.AsyncClient, records: list[MemoryRecord], store: MemoryStore
) -> None:
    before = await kept(store)
    exported = (await client.get(EXPORT, headers=ALICE)).content
    lines = [json.loads(line) for line in exported.splitlines()[:-1]]
    theirs = await client.get(EXPORT, headers=BOB)
    forged = [lines[0], lines[1], json.loads(theirs.text.splitlines()[1]) | {"content": "forged"}]
    error = fault(await client.post(IMPORT, params={"merge": "replace"}, content=resealed(forged), headers=ALICE), 422)
    assert error["code"] == "damaged_data"
    assert error["param"] == "line 3"
    assert "map_user=true" in error["message"]
    assert "bob" not in error["message"]
    own, *others = before  # her own first line was replaced
    assert await kept(store) == [own | {"trust": Trust.IMPORT}, *others]


async def test_with_map_user_they_become_copies_of_the_callers_own(
    client: httpx.AsyncClient, records: list[MemoryRecord], store: MemoryStore
) -> None:
    before = await kept(store, "alice")
    data = (await client.get(EXPORT, headers=ALICE)).content
    for merge in ("skip", "replace"):
        params = {"map_user": "true", "merge": merge}
        result = (await client.post(IMPORT, params=params, content=data, headers=BOB)).json()
        assert (result["renamed"], result["refused"]) == (4, 0)
    assert await kept(store, "alice") == before
    found = {record["content"] for record in await kept(store, "bob")}
    assert found == {"likes tea", "old", "gone", "ships on friday", "bob's secret"}
    listed = (await client.get("/v1/memory", headers=BOB)).json()["memories"]
    assert sorted(memory["content"] for memory in listed) == ["bob's secret", "likes tea"]


async def test_a_damaged_line_is_named_and_those_before_it_are_in(
    client: httpx.AsyncClient, records: list[MemoryRecord], store: MemoryStore
) -> None:
    data = (await client.get(EXPORT, headers=ALICE)).content
    await client.delete("/v1/memory", headers=ALICE)
    lines = data.splitlines(keepends=True)
    broken = b"".join([*lines[:3], b'{"kind":"memory","secret text":1}\n', *lines[4:]])
    error = fault(await client.post(IMPORT, content=broken, headers=ALICE), 422)
    assert error["param"] == "line 4"
    assert error["message"].startswith("line 4: unknown field `secret text`")
    assert "before it 2 memories were added" in error["message"]
    assert {record["content"] for record in await kept(store, "alice")} == {"likes tea", "old", "ships on friday"}


@pytest.mark.parametrize(
    ("body", "line"),
    [(b"", 1), (b"hello", 1), (b"x" * 5000, 1), (b"\xff\xfe", 1), (b"[" * 4000, 1), (b'{"content":"x"}\n', 1)],
    ids=["empty", "text", "long line", "bytes", "deep", "a memory as the API takes it"],
)
async def test_any_body_gives_a_clear_answer(client: httpx.AsyncClient, body: bytes, line: int) -> None:
    assert fault(await client.post(IMPORT, content=body, headers=ALICE), 422)["param"] == f"line {line}"


async def test_a_body_over_the_limit_is_refused_before_and_while_it_is_read(
    client: httpx.AsyncClient, records: list[MemoryRecord], store: MemoryStore
) -> None:
    data = (await client.get(EXPORT, headers=ALICE)).content
    await client.delete("/v1/memory", headers=ALICE)
    before = await kept(store, "alice")
    first, *lines, _ = data.splitlines(keepends=True)
    announced = await client.post(IMPORT, content=data + b" " * 200_000, headers=ALICE)
    assert "200000 bytes" in fault(announced, 413)["message"]
    assert await kept(store, "alice") == before

    async def endless() -> AsyncIterator[bytes]:
        yield first + lines[0]
        while True:
            yield b"\n" + b" " * 3000

    async def long() -> AsyncIterator[bytes]:
        yield first
        for number in range(1000):
            yield lines[0].replace(records[0].id.encode(), b"n%d" % number).replace(b"likes tea", b"likes %d" % number)

    assert fault(await client.post(IMPORT, content=endless(), headers=ALICE), 422)["param"] == "line 3"
    error = fault(await client.post(IMPORT, content=long(), headers=ALICE), 413)
    assert "memories were added" in error["message"]
    assert 50 < len(await kept(store, "alice")) < 300


async def test_compressed_bodies_and_unknown_parameters_are_refused(client: httpx.AsyncClient) -> None:
    error = fault(await client.post(IMPORT, content=b"", headers={**ALICE, "content-encoding": "gzip"}), 400)
    assert error["param"] == "content-encoding"
    for path, params, param in (
        (EXPORT, {"user_id": "bob"}, "user_id"),
        (EXPORT, {"project_id": ""}, "project_id"),
        (IMPORT, {"user_id": "bob"}, "user_id"),
        (IMPORT, {"merge": "all"}, "merge"),
    ):
        method = "GET" if path == EXPORT else "POST"
        assert fault(await client.request(method, path, params=params, headers=ALICE), 400)["param"] == param


async def test_nobody_gets_and_brings_nothing(client: httpx.AsyncClient) -> None:
    assert fault(await client.get(EXPORT), 401)["code"] == "unauthenticated"
    assert fault(await client.post(IMPORT, content=b""), 401)["code"] == "unauthenticated"


async def test_switched_off_memory_is_said(bare_app: FastAPI, connect: Connect, access: Access) -> None:
    bare_app.include_router(memory_transfer_routes(transfer=None, access=access, limits=LIMITS))
    async with connect(bare_app) as client:
        assert fault(await client.get(EXPORT, headers=ALICE), 404)["code"] == "memory_disabled"


async def test_others_are_served_while_an_import_waits_for_its_lines(
    client: httpx.AsyncClient, records: list[MemoryRecord]
) -> None:
    data = (await client.get(EXPORT, headers=ALICE)).content
    middle = len(data) // 2
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield data[:middle]
        await go_on.wait()
        yield data[middle:]

    running = asyncio.create_task(client.post(IMPORT, content=slow(), headers=ALICE))
    listed = await client.get("/v1/memory", headers=BOB)
    assert listed.json()["total"] == 1
    assert not running.done()
    go_on.set()
    assert (await running).json()["read"] == 4


async def test_a_receipt_proves_what_was_erased(
    client: httpx.AsyncClient, records: list[MemoryRecord], store: MemoryStore, clock: ManualClock
) -> None:
    clock.ms += 1500
    reply = await client.delete("/v1/memory", params={"receipt": "true"}, headers=ALICE)
    ids = sorted(record.id for record in records if record.user_id == "alice" and record.project_id == "default")
    digest = hashlib.sha256("".join(f"{memory_id}\n" for memory_id in ids).encode()).hexdigest()
    assert reply.json() == {
        "success": True,
        "message": "Deleted 3 memories",
        "deleted": 3,
        "receipt": {"count": 3, "erased_at": "2026-01-01T00:00:01.500Z", "sha256": digest},
    }
    assert {record["content"] for record in await kept(store)} == {"ships on friday", "bob's secret"}
    again = (await client.delete("/v1/memory", params={"receipt": "true"}, headers=ALICE)).json()
    assert again["receipt"]["sha256"] == hashlib.sha256(b"").hexdigest()
    typed = {"receipt": "true", "type": "semantic"}
    work = {**ALICE, "x-authz-project-id": "work"}
    assert (await client.delete("/v1/memory", params=typed, headers=work)).json()["deleted"] == 0
    assert "receipt" not in (await client.delete("/v1/memory", headers=ALICE)).json()

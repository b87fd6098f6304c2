"""Conversations are named by their own name, by the session of their requests, or by a memory of theirs."""

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from memrouter.memory.service import MemoryService
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.memory.turns.conversation import session_conversation
from memrouter.models.memory import DEFAULT_PROJECT, MemoryRecord, Scope, Source

URL = "/v1/memory"
ALICE = {"x-authz-user-id": "alice"}
BOB = {"x-authz-user-id": "bob"}


async def chatted(service: MemoryService, user: str, session: str, *texts: str) -> list[MemoryRecord]:
    """Leave what a chat in a session leaves."""
    name = session_conversation(session, scope=Scope(user))
    drafts = [
        MemoryDraft(text, source=Source.CONVERSATION, conversation_id=name, turn_index=turn)
        for turn, text in enumerate(texts)
    ]
    return await service.remember(Scope(user), drafts)


async def contents(client: httpx.AsyncClient, headers: Mapping[str, str] = ALICE, **params: str) -> set[str]:
    reply = await client.get(URL, params=params, headers=headers)
    assert reply.status_code == 200, reply.text
    return {memory["content"] for memory in reply.json()["memories"]}


@pytest.fixture
async def monday(service: MemoryService) -> list[MemoryRecord]:
    """Two chats of Alice and one of Bob, who named his session as she did; and a fact of no conversation."""
    await chatted(service, "alice", "tuesday", "On Tuesday I was in Faro.")
    await chatted(service, "bob", "monday", "Bob was in Faro, too.")
    await service.remember(Scope("alice"), [MemoryDraft("I like tea.")])
    return await chatted(service, "alice", "monday", "On Monday I was in Porto.", "It rained in Porto.")


def ways(monday: list[MemoryRecord]) -> list[dict[str, str]]:
    return [
        {"session_id": "monday"},
        {"conversation_id": monday[0].conversation_id or ""},
        {"conversation_of": monday[1].id},
    ]


async def test_a_conversation_is_listed_however_it_is_named(
    client: httpx.AsyncClient, monday: list[MemoryRecord]
) -> None:
    for way in ways(monday):
        assert await contents(client, **way) == {"On Monday I was in Porto.", "It rained in Porto."}
    assert await contents(client, session_id="Monday") == set()
    work = {**ALICE, "x-authz-project-id": "work"}
    assert await contents(client, work, session_id="monday") == set()


@pytest.mark.parametrize("way", [0, 1, 2])
async def test_a_forgotten_conversation_is_gone_and_nothing_else_is(
    client: httpx.AsyncClient, monday: list[MemoryRecord], way: int
) -> None:
    params = {**ways(monday)[way], "receipt": "true"}
    answer = (await client.delete(URL, params=params, headers=ALICE)).json()
    lines = "".join(f"{record.id}\n" for record in sorted(monday, key=lambda record: record.id))
    assert answer == {
        "success": True,
        "message": "Deleted 2 memories",
        "deleted": 2,
        "receipt": {
            "count": 2,
            "erased_at": "2026-01-01T00:00:00.000Z",
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        },
    }
    assert await contents(client) == {"On Tuesday I was in Faro.", "I like tea."}
    assert await contents(client, BOB) == {"Bob was in Faro, too."}


async def test_forgetting_without_a_receipt_tells_the_count(
    client: httpx.AsyncClient, monday: list[MemoryRecord]
) -> None:
    answers = [(await client.delete(URL, params={"session_id": "monday"}, headers=ALICE)).json() for _ in range(2)]
    assert [answer["deleted"] for answer in answers] == [len(monday), 0]
    assert "receipt" not in answers[0]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"session_id": "monday", "conversation_id": "x"}, "session_id"),
        ({"session_id": "monday", "conversation_of": "x"}, "conversation_of"),
        ({"session_id": "monday", "type": "episodic"}, "type"),
        ({"session_id": ""}, "session_id"),
        ({"conversation_id": ""}, "conversation_id"),
        ({"conversation_id": "a\x00b"}, "conversation_id"),
        ({"conversation_of": "x" * 65}, "conversation_of"),
        ({"conversation": "monday"}, "conversation"),
    ],
)
async def test_a_conversation_that_is_named_wrongly_deletes_nothing(
    client: httpx.AsyncClient, monday: list[MemoryRecord], params: dict[str, Any], param: str
) -> None:
    reply = await client.delete(URL, params=params, headers=ALICE)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert len(await contents(client)) == 4


async def test_a_memory_of_no_conversation_or_of_somebody_else_names_none(
    client: httpx.AsyncClient, service: MemoryService, monday: list[MemoryRecord]
) -> None:
    (tea,) = await service.remember(Scope("alice"), [MemoryDraft("I like tea.")])
    none = await client.delete(URL, params={"conversation_of": tea.id}, headers=ALICE)
    assert (none.status_code, none.json()["error"]["param"]) == (400, "conversation_of")
    foreign = await client.delete(URL, params={"conversation_of": monday[0].id}, headers=BOB)
    assert foreign.status_code == 404
    assert len(await contents(client)) == 4


def test_sessions_of_two_users_and_projects_are_different_conversations() -> None:
    scopes = [Scope("alice"), Scope("bob"), Scope("alice", "work")]
    assert len({session_conversation("monday", scope=scope) for scope in scopes}) == 3
    assert scopes[0].project_id == DEFAULT_PROJECT

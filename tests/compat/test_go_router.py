"""What users of the Go router rely on: its requests, its configuration and the rows that it keeps."""

import json
import uuid
from typing import Any

import pytest

from ..flow.servers import JsonObject
from .conftest import Bench
from .stored_rows import Row

INSTRUCTIONS = "You are a helpful assistant with memory. Use retrieved memories to answer questions accurately."


class User:
    """Somebody who uses the router as clients of the Go router do: header for the user, fields in the body."""

    def __init__(self, bench: Bench) -> None:
        self.name = f"canary_{uuid.uuid4().hex}"
        self._bench = bench
        self._caller = bench.router.caller(self.name)

    async def responds(self, message: str, **fields: Any) -> JsonObject:
        """Return a response; nothing of the request is stored unless ``auto_store`` says so."""
        body = {
            "model": "MoM",
            "input": message,
            "auto_store": False,
            "instructions": INSTRUCTIONS,
            "metadata": {"user_id": self.name},
            **fields,
        }
        answer = await self._caller.request("POST", "/v1/responses", json.dumps(body).encode())
        assert answer.status == 200, answer.body
        response: JsonObject = answer.json()
        assert response["status"] == "completed"
        return response

    async def asks(self, message: str, **fields: Any) -> str:
        """Return what the model says in a new conversation, which is everything that it was sent."""
        return text_of(await self.responds(message, **fields))

    async def tells(self, *messages: str) -> JsonObject:
        """Say some things in one conversation, to be stored; return the last response."""
        last: JsonObject = {}
        for message in messages:
            before = {"previous_response_id": last["id"]} if last else {}
            last = await self.responds(message, auto_store=True, **before)
        return last

    async def chats(self, *messages: JsonObject) -> str:
        answer = await self._caller.chat(*messages, model="MoM", metadata={"user_id": self.name})
        assert answer.status == 200, answer.body
        return answer.text

    async def rows(self, count: int) -> list[Row]:
        return await self._bench.rows.appeared(self.name, count)


def text_of(response: JsonObject) -> str:
    """Return the text of a response where clients of the Go router look for it."""
    found: str = response["output"][0]["content"][0]["text"]
    assert response.get("output_text", found) == found
    return found


@pytest.fixture
def alice(bench: Bench) -> User:
    return User(bench)


@pytest.fixture
def bob(bench: Bench) -> User:
    return User(bench)


async def test_a_fact_that_was_told_is_in_the_prompt_of_a_new_conversation(alice: User) -> None:
    await alice.tells("Please remember this: My car is a blue Tesla Model 3 from 2023")
    (row,) = await alice.rows(1)
    assert "My car is a blue Tesla Model 3 from 2023" in row["content"]
    said = await alice.asks("Which car do I drive?")
    assert "blue Tesla Model 3" in said
    assert said.startswith("[system]: You are MoM"), "the system prompt of the route and memories stand side by side"


async def test_a_row_has_the_fields_that_the_go_router_writes(alice: User) -> None:
    fact = "My employee ID is EMP-90210, I started on 2024-03-15, and my manager is Dr. Evelyn Zhao in Building 7."
    await alice.tells(f"Please remember this: {fact}")
    (row,) = await alice.rows(1)
    assert fact in row["content"]
    assert (row["user_id"], row["source"]) == (alice.name, "conversation")
    assert int(row["created_at"]) == int(row["updated_at"])
    if "metadata" in row:
        assert 1_700_000_000 < row["created_at"] < 10_000_000_000, "seconds"
        metadata = json.loads(row["metadata"])
        assert (metadata["user_id"], metadata["source"], metadata["project_id"]) == (
            alice.name,
            "conversation",
            "default",
        )
        assert row["access_count"] == metadata["access_count"] == 0


@pytest.mark.parametrize(
    ("fact", "question", "word"),
    [
        ("Remember this: My secret PIN is 9876", "What is my PIN?", "9876"),
        (
            "Please remember this important code: my secret project codename is Phoenix-2026",
            "What is my secret project codename?",
            "Phoenix",
        ),
        ("My cat's name is Luna and she is a siamese cat", "What is my cat's name and what breed is she?", "Luna"),
        ("Remember: I drive a red Toyota Camry 2022", "Tell me about the car that I drive", "Camry"),
    ],
)
async def test_nothing_that_may_be_kept_is_lost_to_a_model_that_repeats_its_prompt(
    alice: User, fact: str, question: str, word: str
) -> None:
    await alice.tells(fact, "Got it, I'll keep that safe, nothing else about it.")
    await alice.rows(2)
    assert word in await alice.asks(question)


async def test_users_are_apart_and_a_user_in_the_body_is_not_believed(alice: User, bob: User) -> None:
    await alice.tells("Remember this: My secret PIN is 9876")
    await bob.tells("Remember this: my garage door code is sesame")
    (row,) = await alice.rows(1)
    (other,) = await bob.rows(1)
    assert "sesame" not in row["content"]
    assert "9876" not in other["content"]
    assert "9876" not in await bob.asks("What is my PIN?", metadata={"user_id": alice.name}, user=alice.name)
    assert "sesame" not in await alice.asks("What is my garage door code?")


async def test_a_password_is_masked_and_the_rest_is_kept(alice: User) -> None:
    await alice.tells("Remember this: My password is hunter2")
    (row,) = await alice.rows(1)
    assert row["content"].startswith("Q: Remember this: My password is [password removed]")
    assert "hunter2" not in str(row)


async def test_chat_completions_store_and_find_too(alice: User) -> None:
    told = {"role": "user", "content": "Please remember this: My favorite color is purple"}
    system = {"role": "system", "content": "You are a helpful assistant with memory."}
    first = await alice.chats(system, told)
    await alice.chats(
        system,
        told,
        {"role": "assistant", "content": first},
        {"role": "user", "content": "Got it, thanks for remembering that."},
    )
    rows = await alice.rows(2)
    assert any("purple" in row["content"] for row in rows)
    assert "purple" in await alice.chats(system, {"role": "user", "content": "What is my favorite color?"})


async def test_a_chain_carries_the_conversation_and_its_third_turn_leaves_a_window(alice: User) -> None:
    last = await alice.tells(
        "Remember: I currently live in Boston, Massachusetts.",
        "Actually, I just moved to San Francisco last week.",
        "It was a big move across the country.",
    )
    said = text_of(last)
    assert said.index("Boston") < said.index("San Francisco") < said.index("a big move")
    rows = await alice.rows(4)
    contents = " ".join(row["content"] for row in rows)
    assert "Boston" in contents
    assert "San Francisco" in contents
    assert sorted(row["source"] for row in rows) == ["conversation"] * 3 + ["session_window"]


async def test_a_request_may_say_that_it_is_not_to_be_stored(alice: User) -> None:
    await alice.responds("My first canary is called Figaro and it sings all day.")
    await alice.tells("My second canary is called Tosca and it sleeps all day.")
    (row,) = await alice.rows(1)
    assert "Tosca" in row["content"]


async def test_a_keyword_leads_to_the_route_without_memory(alice: User) -> None:
    await alice.tells("My cat's name is Luna and she is a siamese cat")
    await alice.rows(1)
    query = "What is my cat's name and what breed is she?"
    said = await alice.asks(f"NOMEM_MARKER {query}", auto_store=True)
    assert "Memory access is disabled here." in said
    assert "Luna" not in said
    assert "Luna" in await alice.asks(query)
    await alice.rows(1)


async def test_the_threshold_of_a_route_wins_over_the_global_one(alice: User) -> None:
    await alice.tells("My dog's name is Max and he is a golden retriever")
    await alice.rows(1)
    query = "What is my dog's name and what breed is he?"
    assert "retriever" not in await alice.asks(f"THRESHOLD_MARKER {query}")
    assert "retriever" in await alice.asks(query)


async def test_a_long_story_is_kept_whole_and_found_by_its_parts(alice: User) -> None:
    await alice.tells(
        "I had a great day today! Had lunch with my brother Tom at the new sushi place downtown. He told me he's "
        "getting married next spring to his girlfriend Anna. Oh, and I finally bought that new laptop I've been "
        "looking at - a MacBook Pro M3."
    )
    (row,) = await alice.rows(1)
    assert all(name in row["content"] for name in ("Tom", "Anna", "MacBook Pro M3"))
    assert "Anna" in await alice.asks("Tell me about my brother and the sushi lunch")


async def test_only_the_listener_and_the_places_are_asked_of_the_environment(bench: Bench) -> None:
    warned = [record["message"] for record in await bench.router.logged(level="warning")]
    assert any("mean nothing here are ignored: routing.modelCards" in message for message in warned)
    assert any("every request counts as other" in message for message in warned)

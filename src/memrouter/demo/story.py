"""The story: one user tells, a new session knows, nobody else does, and the user stays in charge."""

import asyncio
from typing import Any

import aiohttp
from openai import AsyncOpenAI

from memrouter.demo.screen import Screen
from memrouter.demo.tap import Tap

ALICE, BOB = "alice", "bob"
FIRST = "I am moving to Lisbon in March, and my cat is called Miso."
SECOND = "One more thing to keep in mind: I am allergic to peanuts."
SECRET = "Off the record: I am thinking of leaving my job at Contoso."  # noqa: S105 - a secret of the story only
QUESTION = "Which food am I allergic to, and what is my cat called?"
FACTS = ("Lisbon", "Miso", "peanuts")
PATIENCE = 100


class Story:
    """Plays the story against a running router and checks each step.

    Args:
        url: Base URL of the router, without a path.
        tap: Sits between router and model server.
        screen: Prints.
        session: For the memory API.
    """

    def __init__(self, *, url: str, tap: Tap, screen: Screen, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._tap = tap
        self._screen = screen
        self._session = session

    async def play(self) -> None:
        """Play every chapter.

        Raises:
            DemoError: A step did not hold.
        """
        await self._alice_tells()
        await self._a_new_session_knows()
        await self._bob_gets_nothing()
        await self._off_the_record()
        await self._alice_is_in_charge()

    async def _alice_tells(self) -> None:
        self._screen.chapter("1. Alice tells three facts in two turns")
        history = [{"role": "user", "content": FIRST}]
        answer = await self._chat(ALICE, history)
        history += [{"role": "assistant", "content": answer}, {"role": "user", "content": SECOND}]
        await self._chat(ALICE, history)
        memories = await self._memories(ALICE, at_least=2)
        contents = " ".join(memory["content"] for memory in memories)
        self._screen.check("both turns are remembered, with all three facts", all(fact in contents for fact in FACTS))

    async def _a_new_session_knows(self) -> None:
        self._screen.chapter("2. A new session, no history: Alice asks")
        headers = await self._ask(ALICE, QUESTION)
        received = self._received()
        self._screen.check("the model received what Alice said in the earlier session", "peanuts" in received)
        self._screen.check("and the name of her cat", "Miso" in received)
        self._screen.check("the memory status is used", headers["x-memory-status"] == "used")
        self._screen.check(
            "her question itself arrived unchanged", self._tap.bodies[-1]["messages"][-1]["content"] == QUESTION
        )

    async def _bob_gets_nothing(self) -> None:
        self._screen.chapter("3. Bob asks the same")
        headers = await self._ask(BOB, QUESTION)
        self._screen.check("nothing of Alice reached the model", not any(fact in self._received() for fact in FACTS))
        self._screen.check("the memory status is missing", headers["x-memory-status"] == "missing")
        self._screen.check("the request left as Bob sent it", len(self._tap.bodies[-1]["messages"]) == 1)

    async def _off_the_record(self) -> None:
        self._screen.chapter("4. Alice says something off the record")
        before = await self._memories(ALICE)
        headers = await self._ask(ALICE, SECRET)
        self._screen.check("the route without memory took it", headers["x-vsr-selected-decision"] == "off_the_record")
        self._screen.check("the memory status is disabled", headers["x-memory-status"] == "disabled")
        # A turn with memory that follows proves that the queue has moved past the one off the record.
        await self._chat(ALICE, [{"role": "user", "content": "By the way, my favourite season is the autumn."}])
        after = await self._memories(ALICE, at_least=len(before) + 1)
        self._screen.check("nothing of it was stored", not any("Contoso" in memory["content"] for memory in after))

    async def _alice_is_in_charge(self) -> None:
        self._screen.chapter("5. Alice lists, edits and deletes her memories")
        memories = await self._memories(ALICE)
        for memory in memories:
            self._screen.says(memory["id"], memory["content"].splitlines()[0])
        cat = next(memory for memory in memories if "Miso" in memory["content"])
        await self._api("PATCH", f"/{cat['id']}", ALICE, {"content": "My cat is called Mochi, not anything else."})
        await self._ask(ALICE, "What is my cat called?")
        self._screen.check("the edited memory is what the model receives", "Mochi" in self._received())
        self._screen.check("the old wording is gone", "Miso" not in self._received())
        status, _ = await self._api("GET", f"/{cat['id']}", BOB)
        self._screen.check("for Bob her memory does not exist (404)", status == 404)
        await self._api("DELETE", f"/{cat['id']}", ALICE)
        status, _ = await self._api("GET", f"/{cat['id']}", ALICE)
        self._screen.check("one deleted memory is gone", status == 404)
        await self._api("DELETE", "", ALICE)
        self._screen.check("deleting all leaves none", not await self._memories(ALICE))

    async def _ask(self, user: str, question: str) -> dict[str, str]:
        """Ask in a session of its own; show everything; return the answer's headers."""
        self._screen.says(user, question)
        answer = await self._client(user).chat.completions.with_raw_response.create(
            model="auto", messages=[{"role": "user", "content": question}]
        )
        answer.parse()
        self._screen.received(self._tap.bodies[-1]["messages"])
        headers = {name.lower(): value for name, value in answer.headers.items()}
        self._screen.headers(headers)
        return headers

    async def _chat(self, user: str, messages: list[Any]) -> str:
        self._screen.says(user, messages[-1]["content"])
        answer = await self._client(user).chat.completions.create(model="auto", messages=messages)
        text: str = answer.choices[0].message.content or ""
        self._screen.says("model", text.splitlines()[-1])
        return text

    def _client(self, user: str) -> AsyncOpenAI:
        return AsyncOpenAI(
            base_url=f"{self._url}/v1", api_key="demo", default_headers={"x-authz-user-id": user}, max_retries=0
        )

    def _received(self) -> str:
        """Return everything but the user's own question in the last request that the model received."""
        return " ".join(str(message["content"]) for message in self._tap.bodies[-1]["messages"][:-1])

    async def _memories(self, user: str, *, at_least: int = 0) -> list[dict[str, Any]]:
        """Return the user's memories; turns are stored after the answer, so wait for as many as are expected."""
        memories: list[dict[str, Any]] = []
        for _ in range(PATIENCE):
            _, body = await self._api("GET", "?limit=100", user)
            memories = body["memories"]
            if len(memories) >= at_least:
                break
            await asyncio.sleep(0.05)
        return memories

    async def _api(self, method: str, path: str, user: str, body: Any = None) -> tuple[int, Any]:
        url = f"{self._url}/v1/memory{path}"
        async with self._session.request(method, url, json=body, headers={"x-authz-user-id": user}) as answer:
            return answer.status, await answer.json()

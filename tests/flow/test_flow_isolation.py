"""Nobody is given a word of anybody else, whatever the load."""

import asyncio

from memrouter.testing.upstream import ScriptedUpstream

from .conftest import Someone, new_user
from .servers import Caller, Router

CLIENTS = 50
ROUNDS = 3


async def ask(caller: Caller, question: str, *, model: str) -> tuple[str, str]:
    """Return the memory status and the answer."""
    raw = await caller.openai.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": question}]
    )
    return raw.headers["x-memory-status"], raw.parse().choices[0].message.content or ""


async def test_two_users_stay_apart_under_fifty_concurrent_clients(merging_router: Router) -> None:
    secrets = {"Figaro": merging_router.caller(new_user()), "Tosca": merging_router.caller(new_user())}
    for name, caller in secrets.items():
        await caller.chat(f"Please keep in mind that my canary is called {name}.", model="qwen3")
        await caller.stored(1)

    async def client(number: int) -> None:
        name, other = list(secrets)[:: 1 if number % 2 else -1]
        caller = secrets[name].having(x_authz_user_groups="read_only")
        for _ in range(ROUNDS):
            status, seen = await ask(caller, "How is my canary called?", model="qwen3")
            assert status == "used"
            assert name in seen, "the echoing model repeats the memories that it received"
            assert other not in seen

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))


async def test_two_users_tell_things_concurrently_and_each_keeps_its_own(
    someone: Someone, upstream: ScriptedUpstream
) -> None:
    callers = {"Figaro": someone(), "Tosca": someone()}

    async def client(number: int) -> None:
        name = list(callers)[number % 2]
        await ask(callers[name], f"Fact {number} about my canary {name}: it likes {number} seeds.", model="scripted")

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    for name, caller in callers.items():
        contents = [memory["content"] for memory in await caller.stored(CLIENTS // 2)]
        assert len(contents) == CLIENTS // 2
        assert all(f"my canary {name}" in content for content in contents)


async def test_twenty_users_stay_apart_at_a_concurrency_of_fifty(someone: Someone, upstream: ScriptedUpstream) -> None:
    secrets = {f"canary{number:02}x": someone() for number in range(20)}
    await asyncio.gather(
        *(caller.chat(f"The word that I must never forget is {secret}.") for secret, caller in secrets.items())
    )
    for caller in secrets.values():
        await caller.stored(1)
    upstream.requests.clear()
    gate = asyncio.Semaphore(CLIENTS)

    async def question(caller: Caller) -> None:
        async with gate:
            status, _ = await ask(caller, "Which word must I never forget?", model="scripted")
            assert status == "used"

    readers = [caller.having(x_authz_user_groups="read_only") for caller in secrets.values()]
    await asyncio.gather(*(question(caller) for caller in readers * 6))
    received = [request.body.decode() for request in upstream.requests]
    named = [[secret for secret in secrets if secret in body] for body in received]
    assert sorted(named) == sorted([secret] for secret in [*secrets] * 6)


async def test_another_users_memory_does_not_exist(someone: Someone) -> None:
    alice, bob = someone(), someone()
    await alice.remember("My canary is called Figaro and it is mine alone.")
    (memory,) = await alice.memories()
    path = f"/v1/memory/{memory['id']}"
    assert (await bob.request("GET", path)).status == 404
    assert (await bob.request("DELETE", path)).status == 404
    assert (await bob.request("PATCH", path, b'{"importance": 1}')).status == 404
    assert (await bob.request("DELETE", "/v1/memory")).json()["deleted"] == 0
    assert await alice.memories() == [memory]


async def test_projects_of_one_user_stay_apart(alice: Caller, upstream: ScriptedUpstream) -> None:
    work, home = (alice.having(x_authz_project_id=project) for project in ("work", "home"))
    await work.remember("The canary release of the billing service is on Thursday.")
    question = "When is the canary release of the billing service?"
    assert (await home.chat(question)).memory == "missing"
    assert (await work.chat(question)).memory == "used"


async def test_a_user_named_in_the_body_is_not_believed(someone: Someone, upstream: ScriptedUpstream) -> None:
    alice, bob = someone(), someone()
    await alice.remember("My canary is called Figaro and it is mine alone.")
    answer = await bob.chat("What is my canary called?", user=alice.user, metadata={"user_id": alice.user})
    assert answer.memory == "missing"
    assert "Figaro" not in upstream.requests[-1].body.decode()

"""Neither log nor metrics tell who used the router or what was said, whatever happened. Every router of these tests
is checked in the same way when it ends; see ``running_router``."""

import aiohttp
import pytest

from memrouter.testing.upstream import Answer, Fault, ScriptedUpstream, completion_chunks

from .servers import CANARY, Caller, Router, chat_body, router_config, running_router

FACT = f"My {CANARY} is called Figaro and I bought it in Porto last spring."


async def misfortunes(alice: Caller, upstream: ScriptedUpstream) -> None:
    """Send requests that go wrong in every way, each with words that nobody else may see."""
    await alice.post(chat_body(FACT)[:-9])
    await alice.post(f'{{"model": "{CANARY}", "messages": [{{"role": 7, "content": "{CANARY}"}}]}}'.encode())
    await alice.chat(FACT, model=CANARY)
    await alice.having(x_request_id=f"{CANARY} with blanks").chat(FACT)
    await alice.request("GET", f"/v1/{CANARY}?user={CANARY}")
    await alice.request("GET", f"/v1/memory/{CANARY}")
    await alice.request("GET", f"/v1/memory?type={CANARY}&{CANARY}=1")
    await alice.request("POST", "/v1/memory", f'{{"content": 7, "{CANARY}": "{CANARY}"}}'.encode())
    await alice.request("POST", "/v1/memory/search", f'{{"query": "{CANARY}", "explain": true}}'.encode())
    await alice.having(x_authz_project_id=CANARY * 50).chat(FACT)
    upstream.script(Answer.error(500, CANARY), Answer.fault(Fault.RESET))
    await alice.chat(FACT)
    await alice.chat(FACT)
    upstream.script(Answer.stream(completion_chunks(FACT)[0], Fault.RESET))
    with pytest.raises(aiohttp.ClientPayloadError):
        async with alice.streaming(FACT) as stream:
            await stream.read()


async def leaks(router: Router) -> list[str]:
    """Return the lines of log and metrics that hold a user's word."""
    lines = router.log.read_text().splitlines() + (await router.get("/metrics")).body.decode().splitlines()
    return [line for line in lines if CANARY in line.lower() or "figaro" in line.lower()]


async def test_log_and_metrics_hold_no_word_of_a_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with ScriptedUpstream() as upstream:
        config = router_config({"scripted": [upstream.endpoint]}, server={"log_level": "debug", "backend_cooldown": 0})
        async with running_router(tmp_path_factory.mktemp("discreet"), config) as router:
            alice = router.caller(f"{CANARY}-user", x_session_id=CANARY, x_authz_user_groups=CANARY)
            await alice.chat(FACT)
            await alice.stored(1)
            await misfortunes(alice, upstream)
            assert (await alice.chat("How is my canary called?")).memory == "used"
            await alice.stored_meanwhile()
            await router.logged(message="request", status=404)
            assert await router.metric("memrouter_requests_total", status="400") > 0
            assert await leaks(router) == []

"""What the pages of operators say: about a healthy router, a broken one, and never a memory, a secret or a script."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from memrouter.models.memory import owner_key

from .in_process import Connect, Inspected, send
from .operated import EVIL, FORMS, OPERATOR, PAGES, SECRET, as_operator, operated, remember

ROOM = "/ui/operations"
CANARY = "canary: the cat of the neighbours is called Figaro"
SOMEBODY = "canary-somebody@example.org"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Inspected]:
    everything_goes = {"quality_scoring": {"prune_threshold": 1.0}}
    async with operated(tmp_path_factory.mktemp("pages"), memory=everything_goes) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def operator(router: Inspected, connect: Connect) -> httpx.AsyncClient:
    return await as_operator(connect, router)


def plain(page: httpx.Response) -> str:
    """Return the words of a page, white space as one blank."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


async def every_answer(client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    """Open every page and send every form."""
    answers = {page: await client.get(ROOM + page) for page in PAGES}
    fields = {"kind": "prune", "user": SOMEBODY, "message": "hello off the record", "model": "auto"}
    answers |= {f"POST {page}": await send(client, ROOM + page, form_on=ROOM + page, **fields) for page in FORMS}
    answers["POST merge"] = await send(client, f"{ROOM}/retention", form_on=ROOM, kind="consolidate")
    answers["GET again"] = await client.get(f"{ROOM}/retention")
    return answers


async def test_no_page_has_a_memory_or_a_users_name(
    router: Inspected, connect: Connect, operator: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await remember(connect, router, SOMEBODY, CANARY, CANARY + " indeed")
    with caplog.at_level(logging.DEBUG):
        answers = await every_answer(operator)
    for name, answer in answers.items():
        assert "Figaro" not in answer.text, name
        # A form repeats what was typed into it, and nothing else does.
        typed = re.sub(r'value="[^"]*"', "", answer.text)
        assert SOMEBODY not in typed, name
    assert owner_key(SOMEBODY) in answers["POST /users"].text
    assert f'title="{owner_key(SOMEBODY)}"' in answers["POST /retention"].text
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert SOMEBODY not in logged
    assert "Figaro" not in logged


async def test_names_in_the_configuration_stay_names(operator: httpx.AsyncClient) -> None:
    for name, answer in (await every_answer(operator)).items():
        assert answer.status_code in (200, 303), name
        assert "<script>alert" not in answer.text, name
        assert "<img" not in answer.text.replace('<img src="/ui/static', ""), name
        assert "style=" not in answer.text, name
        assert not re.search(r"\son\w+=", re.sub(r"&lt;.*?&gt;", "", answer.text)), name
    assert "&lt;script&gt;alert(1)" in (await operator.get(f"{ROOM}/routes")).text


async def test_no_page_has_a_secret(operator: httpx.AsyncClient) -> None:
    for name, answer in (await every_answer(operator)).items():
        assert SECRET not in answer.text, name
    shown = (await operator.get(f"{ROOM}/configuration")).text
    assert "**********" in shown
    assert "prune_threshold" in shown


async def test_the_overview_says_what_is_degraded_and_what_to_do(operator: httpx.AsyncClient) -> None:
    text = plain(await operator.get(ROOM))
    assert "Memory store ✓ ok" in text
    assert "Model servers ! degraded" in text
    assert "no backend can be connected to for: m" in text
    assert "What to do: see that the model&#39;s servers run" in text
    assert "127.0.0.1:9" in text


async def test_a_backend_that_failed_is_shown_as_cooling(tmp_path: Path, connect: Connect) -> None:
    async with operated(tmp_path) as router:
        chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        failed = await (await connect(router)).post("/v1/chat/completions", json=chat)
        assert failed.status_code == 502
        assert "failed lately" in plain(await (await as_operator(connect, router)).get(ROOM))


async def test_charts_have_words_and_tables(router: Inspected, operator: httpx.AsyncClient) -> None:
    router.runtime.metrics.memory_status("used", "everything")
    router.runtime.metrics.retrieval(seconds=0.0012, results=1)
    page = await operator.get(f"{ROOM}/statuses?span=day")
    assert page.text.count('role="img"') == 6
    assert page.text.count("<desc") == 6
    assert "1 used" in plain(page)
    assert "retrievals: half took at most about" in plain(page)
    assert 'aria-current="true">Last 24 hours' in page.text
    unknown = await operator.get(f"{ROOM}/statuses?span=%3Cscript%3E")
    assert 'aria-current="true">Last hour' in unknown.text


async def test_the_store_page_counts_memories_when_asked(
    router: Inspected, connect: Connect, operator: httpx.AsyncClient
) -> None:
    await remember(connect, router, "counted", "Counting is fun.", "Sheep are counted at night.")
    before = plain(await operator.get(f"{ROOM}/store"))
    assert "SQLite" in before
    assert "FTS5" in before
    after = plain(await send(operator, f"{ROOM}/store", form_on=f"{ROOM}/store"))
    assert router.runtime.store is not None
    assert f"{await router.runtime.store.count(None)} counted now" in after.replace("just now", "now")


async def test_the_doctor_is_asked_by_a_button_and_never_by_opening_the_page(tmp_path: Path, connect: Connect) -> None:
    async with operated(tmp_path) as router:
        operator = await as_operator(connect, router)
        assert "Not asked yet" in plain(await operator.get(f"{ROOM}/doctor"))
        found = plain(await send(operator, f"{ROOM}/doctor", form_on=f"{ROOM}/doctor"))
        assert "✕ broken upstream" in found
        assert "cannot be connected to" in found
        assert "What to do: start it, or correct its address" in found
        assert "✓ ok sqlite integrity" in found
        assert "broken" in plain(await operator.get(f"{ROOM}/doctor"))


@pytest.mark.parametrize(
    ("message", "model", "told"),
    [
        ("this is off the record", "auto", f"It takes the route {EVIL} . Matched keyword:{EVIL} Answered by {EVIL}"),
        ("what is my cat called?", "auto", "It takes the route everything ."),
        ("what is my cat called?", "auto", "Answered by m (75 %)"),
        ("what is my cat called?", "m", "Answered by m Memory recalls and stores"),
        ("hello", "m", "this message is not worth a search: small_talk"),
    ],
)
async def test_the_tester_says_which_route_a_message_would_take(
    operator: httpx.AsyncClient, message: str, model: str, told: str
) -> None:
    answer = await send(operator, f"{ROOM}/routes", form_on=f"{ROOM}/routes", message=message, model=model)
    assert answer.status_code == 200
    shown = plain(answer).replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("&#39;", "'")
    assert told in shown


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"message": "", "model": "m"}, "write a message"),
        ({"message": "x" * 20_001, "model": "m"}, "write a message"),
        ({"message": "hi", "model": "absent"}, "does not exist"),
        ({"message": "hi", "model": "m", "user": "u" * 257}, "at most 256"),
        ({"message": "hi"}, "model is empty"),
    ],
)
async def test_a_question_that_no_client_could_ask_is_refused_with_a_reason(
    operator: httpx.AsyncClient, fields: dict[str, str], told: str
) -> None:
    answer = await send(operator, f"{ROOM}/routes", form_on=f"{ROOM}/routes", **fields)
    assert answer.status_code in (400, 404)
    assert told in plain(answer)


async def test_a_dry_run_tells_what_would_go_and_removes_nothing(tmp_path: Path, connect: Connect) -> None:
    async with operated(tmp_path, memory={"quality_scoring": {"prune_threshold": 1.0}}) as router:
        await remember(connect, router, SOMEBODY, CANARY, "Cows say moo every morning.")
        operator = await as_operator(connect, router)
        answer = await send(operator, f"{ROOM}/retention", form_on=ROOM, kind="prune", user=SOMEBODY)
        assert f"2 of 2 memories would go of user {owner_key(SOMEBODY)}" in plain(answer)
        assert "Figaro" not in answer.text
        assert router.runtime.store is not None
        assert await router.runtime.store.count(SOMEBODY) == 2
        others = await send(operator, f"{ROOM}/retention", form_on=ROOM, kind="prune", user="nobody-else")
        assert "0 of 0 memories would go" in plain(others)
        merged = await send(operator, f"{ROOM}/retention", form_on=ROOM, kind="consolidate")
        assert "0 groups would be merged" in plain(merged)


async def test_a_dry_run_for_nobody_who_can_be_is_refused(operator: httpx.AsyncClient) -> None:
    answer = await send(operator, f"{ROOM}/retention", form_on=ROOM, kind="prune", user="u" * 257)
    assert (answer.status_code, "at most 256" in plain(answer)) == (400, True)
    assert (await send(operator, f"{ROOM}/retention", form_on=ROOM, kind="burn")).status_code == 400


async def test_jobs_tell_of_the_queue_and_of_upkeep(router: Inspected, operator: httpx.AsyncClient) -> None:
    router.runtime.metrics.upkeep_run("prune", "finished", 0.1)
    router.runtime.metrics.skipped("small_talk")
    text = plain(await operator.get(f"{ROOM}/jobs"))
    assert "Waiting 0 of at most 1" in text
    assert "prune 1 0 0 0" in text
    assert "small_talk 1" in text


def test_with_a_store_that_is_down_every_page_is_still_useful(tmp_path: Path) -> None:
    asyncio.run(_look_at_a_store_that_is_down(tmp_path))  # the client of Valkey stays with a loop that is not closed


async def _look_at_a_store_that_is_down(folder: Path) -> None:
    memory = {"backend": "valkey", "valkey": {"host": "127.0.0.1", "port": 9, "timeout": 0.5}}
    async with operated(folder, memory=memory, operators_may_read=True) as router:
        transport = httpx.ASGITransport(app=router.app, client=("127.0.0.1", 50_000))
        said = {name.replace("_", "-"): value for name, value in OPERATOR.items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=said) as operator:
            answers = await every_answer(operator)
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code >= 500} == {
        "POST /users": 503
    }
    assert "Memory store ! degraded" in plain(answers[""])
    assert "chats are answered without memory" in plain(answers[""])
    assert "127.0.0.1:9" in plain(answers["/store"])
    assert "The doctor names what mends it" in plain(answers["/store"])
    assert "127.0.0.1:9" in plain(answers["/jobs"])
    assert "127.0.0.1:9" in plain(answers["/looks"])
    assert "A dry run of pruning failed" in plain(answers["POST /retention"])
    assert "valkey" in plain(answers["POST /doctor"])


async def test_without_memory_the_pages_say_so(tmp_path: Path, connect: Connect) -> None:
    async with operated(tmp_path, memory={"enabled": False}) as router:
        operator = await as_operator(connect, router)
        assert "Memory is switched off in every route" in plain(await operator.get(ROOM))
        assert (await operator.get(f"{ROOM}/store")).status_code == 404
        for page in PAGES:
            assert (await operator.get(ROOM + page)).status_code in (200, 404)

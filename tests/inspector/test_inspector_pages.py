"""Pages as a program reads them: contents, errors, and what is there when something is missing."""

import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memrouter.api.memory_views import MemoryView
from memrouter.errors import InvalidRequest
from memrouter.inspector.memories.memory_forms import change_of, minute
from memrouter.inspector.pages import ago, moment, number
from memrouter.memory.storing.drafts import MemoryDraft
from memrouter.models.memory import Scope

from .in_process import SAME_ORIGIN, Connect, Inspected, inspected, send, token_of

Someone = Callable[[], str]

MOMENT = 1_767_225_600_000
CONTENT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=120).filter(str.strip)
TAGS = {
    *("a", "aside", "bdi", "body", "br", "button", "code", "dd", "div", "dl", "dt", "footer", "form", "h1", "h2"),
    *("head", "header", "html", "img", "input", "label", "li", "link", "main", "meta", "nav", "ol", "option", "p"),
    *("script", "section", "select", "span", "strong", "textarea", "time", "title", "ul", "details", "summary"),
}


class Reader(HTMLParser):
    """Collects the tags of a page, and the text of the memory on it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONTENT, CONTENT)
async def test_no_content_adds_a_tag_or_a_handler_to_a_page(
    desk: Inspected, connect: Connect, someone: Someone, content: str, name: str
) -> None:
    user = someone()
    assert desk.runtime.memory is not None
    draft = MemoryDraft(content=f"<b onclick=x>{content}", conversation_id=name[:256], role=name[:256])
    [outcome] = await desk.runtime.memory.deposit(Scope(user), [draft])
    assert outcome.record is not None
    client = await connect(desk, x_authz_user_id=user)
    for path in ("/ui/memories", "/ui/quarantine", f"/ui/memory?id={outcome.record.id}"):
        page = await client.get(path, params={"q": content, "by": "words", "id": outcome.record.id})
        reader = Reader()
        reader.feed(page.text)
        assert reader.tags <= TAGS
        assert not {attribute for attribute in reader.attributes if attribute.startswith("on")}


async def test_a_text_survives_its_form_byte_for_byte(desk: Inspected, connect: Connect, someone: Someone) -> None:
    text = "two lines\r\n\ttabs & <tags> \u05d0 \U0001f600 'quotes' \"more\"\n\nend"
    client = await connect(desk, x_authz_user_id=someone())
    added = await send(client, "/ui/memories/add", content=text, type="procedural")
    assert added.status_code == 303
    [memory] = (await client.get("/v1/memory")).json()["memories"]
    assert memory["content"] == text.replace("\r\n", "\n")
    edit = await client.get("/ui/memory/edit", params={"id": memory["id"]})
    # HTML drops one line end behind the opening tag: ours, and none of the text's own.
    assert '<textarea id="content" name="content" dir="auto" required>\ntwo lines' in edit.text
    fields = {"id": memory["id"], "updated_at": str(MOMENT), "content": text, "type": "procedural"}
    again = await send(client, "/ui/memory/edit", **fields)
    assert again.status_code == 400
    assert "was changed meanwhile" in again.text


async def test_ids_of_others_are_not_found_by_any_page_or_form(
    desk: Inspected, connect: Connect, someone: Someone
) -> None:
    anna, eve = await connect(desk, x_authz_user_id=someone()), await connect(desk, x_authz_user_id=someone())
    made = await anna.post("/v1/memory", content=json.dumps({"content": "only the canary knows"}))
    memory = made.json()["memories"][0]["id"]
    for path in ("/ui/memory", "/ui/memory/edit", "/ui/memory/replace", "/ui/memory/delete"):
        page = await eve.get(path, params={"id": memory})
        assert (page.status_code, "only the canary" in page.text) == (404, False), path
    for action in ("edit", "replace", "delete", "pin", "undo", "release"):
        sent = await send(eve, f"/ui/memory/{action}", id=memory, content="mine now", pinned="1")
        assert (sent.status_code, "only the canary" in sent.text) == (404, False), action
    assert (await anna.get(f"/v1/memory/{memory}")).json()["content"] == "only the canary knows"


async def test_forgetting_needs_a_choice_and_a_yes(desk: Inspected, connect: Connect, someone: Someone) -> None:
    client = await connect(desk, x_authz_user_id=someone())
    await client.post("/v1/memory", content=b'{"content": "a canary sings", "type": "episodic"}')
    await client.post("/v1/memory", content=b'{"content": "water the canary", "type": "procedural"}')
    assert (await client.get("/ui/data/forget")).status_code == 400
    asked = await client.get("/ui/data/forget?type=episodic")
    assert "Forget all episodic memories?" in asked.text
    assert "1 memory" in asked.text
    assert (await send(client, "/ui/data/forget", type="episodic")).status_code == 400
    assert (await client.get("/v1/memory")).json()["total"] == 2
    done = await send(client, "/ui/data/forget", type="episodic", sure="yes")
    assert "1 memory was deleted for good." in done.text
    assert [kept["type"] for kept in (await client.get("/v1/memory")).json()["memories"]] == ["procedural"]


async def test_a_session_is_named_as_its_requests_named_it(desk: Inspected, connect: Connect, someone: Someone) -> None:
    client = await connect(desk, x_authz_user_id=someone())
    assert "0 memories" in (await client.get("/ui/data/forget?session=kitchen%3Cb%3E")).text
    assert (await client.get("/ui/data/forget", params={"conversation": "x" * 400})).status_code == 400


async def test_an_import_without_a_file_or_with_a_broken_one_says_so(
    desk: Inspected, connect: Connect, someone: Someone
) -> None:
    client = await connect(desk, x_authz_user_id=someone())
    token = token_of(await client.get("/ui/data"))
    path = "/ui/data/import"
    bare = await client.post(path, data={"csrf": token}, headers=SAME_ORIGIN)
    assert (bare.status_code, "choose a file" in bare.text) == (400, True)
    broken = await client.post(path, data={"csrf": token}, files={"file": ("<b>.x", b"{]")}, headers=SAME_ORIGIN)
    assert (broken.status_code, "line 1" in broken.text) == (400, True)
    forged = await client.post(path, data={"csrf": "0" * 64}, files={"file": ("x", b"{}")}, headers=SAME_ORIGIN)
    assert forged.status_code == 403
    odd = {**SAME_ORIGIN, "content-type": "multipart/form-data"}
    assert (await client.post(path, content=b"--x", headers=odd)).status_code == 400


async def test_an_upload_over_the_limit_is_refused(tmp_path: Path, connect: Connect) -> None:
    async with inspected(tmp_path, memory={"limits": {"import_bytes": 2048}}) as opened:
        client = await connect(opened, x_authz_user_id="canary-anna")
        token = token_of(await client.get("/ui/data"))
        sent = await client.post(
            "/ui/data/import", data={"csrf": token}, files={"file": ("x", b"x" * 60_000)}, headers=SAME_ORIGIN
        )
        assert sent.status_code == 413


async def test_without_memory_the_pages_say_so(tmp_path: Path, connect: Connect) -> None:
    async with inspected(tmp_path, memory={"enabled": False}) as opened:
        client = await connect(opened, x_authz_user_id="canary-anna")
        for path in ("/ui/memories", "/ui/quarantine", "/ui/why?q=x", "/ui/data", "/ui/memory?id=x"):
            page = await client.get(path)
            assert (page.status_code, "memory is switched off" in page.text) == (404, True), path


async def test_a_store_that_is_gone_is_a_page_and_no_traceback(tmp_path: Path, connect: Connect) -> None:
    async with inspected(tmp_path) as opened:
        client = await connect(opened, x_authz_user_id="canary-anna")
        await opened.runtime.aclose()
        page = await client.get("/ui/memories")
        assert page.status_code == 503
        assert "Not available now" in page.text
        assert "Traceback" not in page.text


async def test_a_listener_for_other_machines_has_no_inspector(tmp_path: Path, connect: Connect) -> None:
    async with inspected(tmp_path, inspector={"enabled": False}) as opened:
        client = await connect(opened, x_authz_user_id="canary-anna")
        for path in ("/ui", "/ui/memories", "/ui/static/inspector.css"):
            assert (await client.get(path)).status_code == 404


async def test_pages_are_counted_by_their_address_without_what_was_asked(desk: Inspected, connect: Connect) -> None:
    client = await connect(desk, x_authz_user_id="canary-anna")
    await client.get("/ui/memories?q=canary-secret")
    metrics = (await client.get("/metrics")).text
    assert 'route="/ui/memories"' in metrics
    assert "canary" not in metrics


def test_nothing_of_the_inspector_is_loaded_before_somebody_looks() -> None:
    program = (
        "import sys; import memrouter.inspector.mount; "
        "held = {name for name in sys.modules if name in ('jinja2', 'markupsafe') "
        "or name.startswith('memrouter.inspector.')} - {'memrouter.inspector.mount'}; assert not held, held"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_times_are_told_in_words_and_exactly() -> None:
    assert "2026-01-01 00:00:00 UTC" in moment(MOMENT)
    assert ">just now<" in ago(MOMENT, MOMENT + 59_000)
    assert ">1 minute ago<" in ago(MOMENT, MOMENT + 60_000)
    assert ">3 days ago<" in ago(MOMENT, MOMENT + 3 * 86_400_000)
    assert ">in 2 years<" in ago(MOMENT + 2 * 365 * 86_400_000, MOMENT)
    assert "9999-12-31" in moment(2**62)
    assert number(12_345) == "12\N{NARROW NO-BREAK SPACE}345"


def kept() -> MemoryView:
    return MemoryView(
        id="m",
        type="semantic",
        content="kept\r\nas it is",
        user_id="u",
        project_id="default",
        source="api",
        trust="direct_user",
        importance=0.333,
        access_count=0,
        created_at=MOMENT,
        updated_at=MOMENT,
        last_accessed=None,
        expires_at=MOMENT + 90_061_001,
        conversation_id=None,
        turn_index=None,
        role=None,
        superseded_by=None,
        quarantine=None,
        pinned=False,
        links=[],
        embedding_model="hash",
    )


def test_a_form_that_was_not_touched_changes_nothing() -> None:
    memory = kept()
    form = {
        "content": "kept\r\nas it is",
        "type": "semantic",
        "importance": f"{memory.importance:.2f}",
        "expires_at": minute(memory.expires_at),
    }
    assert change_of(form, memory) is None
    changed = change_of({**form, "expires_at": ""}, memory)
    assert changed is not None
    assert changed.edit().expires_at is None
    moved = change_of({**form, "expires_at": "2026-03-01T10:30"}, memory)
    assert moved is not None
    assert minute(moved.edit().expires_at) == "2026-03-01T10:30"  # type: ignore[arg-type]  # it is set


@pytest.mark.parametrize(
    ("name", "value"),
    [("importance", "much"), ("importance", "7"), ("expires_at", "soon"), ("type", "x"), ("content", "")],
)
def test_a_field_that_cannot_be_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        change_of({"content": "kept\nas it is", "type": "semantic", name: value}, kept())

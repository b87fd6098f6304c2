"""A page of another site writes nothing without having asked first; programs and own pages are not hindered."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.identity.blind_writes import check_not_blind
from memrouter.errors import Forbidden

from .gateway import running_gateway

OTHER = {"sec-fetch-site": "cross-site", "origin": "https://evil.example", "host": "memory.example"}
USER = {"x-authz-user-id": "alice"}


def refuses(headers: dict[str, str], *, method: str = "POST") -> bool:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    try:
        check_not_blind({"method": method, "headers": raw})
    except Forbidden as error:
        return error.code == "origin_not_allowed"
    return False


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "Text/Plain; charset=utf-8", "multipart/form-data; boundary=x",
             "application/x-www-form-urlencoded", " text/plain ;x"],
)  # fmt: skip
@pytest.mark.parametrize(
    "page",
    [
        OTHER,
        {**OTHER, "sec-fetch-site": "same-site"},
        {"origin": "http://evil.example", "host": "memory.example"},
        {"origin": "null", "host": "memory.example"},
    ],
)
def test_what_a_page_of_another_site_may_send_unasked_is_refused(page: dict[str, str], kind: str | None) -> None:
    assert refuses(page if kind is None else {**page, "content-type": kind})


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/x-ndjson"])
def test_what_a_browser_asks_about_first_is_let_through(kind: str) -> None:
    assert not refuses({**OTHER, "content-type": kind})


@pytest.mark.parametrize(
    "caller",
    [
        {"host": "memory.example"},
        {"sec-fetch-site": "same-origin", "origin": "https://memory.example", "host": "behind:8888"},
        {"sec-fetch-site": "none", "host": "memory.example"},
        {"origin": "http://Memory.example:8888", "host": "memory.example:8888"},
    ],
)
def test_programs_and_own_pages_send_what_they_like(caller: dict[str, str]) -> None:
    assert not refuses({**caller, "content-type": "text/plain"})


def test_reading_is_not_hindered() -> None:
    assert not refuses(OTHER, method="GET")


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_whatever_stands_in_the_headers_is_let_through_or_refused(kind: str, origin: str) -> None:
    assert refuses({"content-type": kind, "origin": origin, "host": "memory.example"}) in (True, False)


async def test_over_http_such_a_page_neither_writes_a_memory_nor_asks_a_model(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        page = {**OTHER, **USER, "content-type": "text/plain"}
        del page["host"]
        for path, body in (("/v1/memory", '{"content": "planted"}'), ("/v1/chat/completions", '{"model": "m"}')):
            answer = await gateway.client.post(path, headers=page, content=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
        assert gateway.upstream.requests == []
        listed = await gateway.client.get("/v1/memory", headers=USER)
        assert (listed.status_code, listed.json()["memories"]) == (200, [])

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.upstream.headers import forwardable, outgoing, relayable

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-", min_size=1, max_size=20)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)


def test_end_to_end_headers_reach_the_backend() -> None:
    headers = {"authorization": "Bearer a", "x-forwarded-for": "10.0.0.1", "x-trace": "1"}
    assert forwardable(headers) == headers


def test_hop_by_hop_framing_and_control_headers_and_cookies_stop_at_the_router() -> None:
    stopped = [
        "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization", "Host",
        "Content-Length", "Accept-Encoding", "Expect", "X-Authz-User-Id", "X-AUTHZ-anything", "x-disable-router-memory",
        "Cookie",
    ]  # fmt: skip
    assert forwardable(dict.fromkeys(stopped, "x")) == {}


def test_a_key_of_this_router_stops_here_in_whatever_header() -> None:
    key = "mr_abcdefgh2345_" + "0f" * 32
    for value in (f"Bearer {key}", key, f"Bearer {key[:-9]}", f"a=b; key={key}", f'"{key}"', f"x,{key}"):
        for name in ("authorization", "x-api-key", "cookie", "x-anything"):
            assert forwardable({name: value, "x-open": "1"}) == {"x-open": "1"}
    for value in ("Bearer sk-other", "mr_smith_and_co", "Bearer xmr_abcdefgh2345_00", "mr_ABCDEFGH2345_0"):
        assert forwardable({"authorization": value}) == {"authorization": value}


def test_headers_named_by_connection_stop_at_the_router() -> None:
    assert forwardable({"connection": "close, X-Secret ,", "x-secret": "1", "x-open": "2"}) == {"x-open": "2"}
    answer = [(b"Connection", b"X-Secret"), (b"X-Secret", b"1"), (b"connection", b"x-other"), (b"x-other", b"2")]
    assert relayable([*answer, (b"X-Open", b"3")], status=200) == [(b"x-open", b"3")]


def test_values_that_are_utf8_are_sent_as_utf8() -> None:
    as_asgi_gives_it = "Grüße".encode().decode("latin-1")
    assert forwardable({"x-title": as_asgi_gives_it}) == {"x-title": "Grüße"}
    assert forwardable({"x-title": "Gr\xfc"}) == {"x-title": "Gr\xfc"}


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_forwardable_never_raises_and_lowers_names(headers: dict[str, str]) -> None:
    assert all(name == name.lower() for name in forwardable(headers))


def test_a_backends_own_headers_replace_the_clients() -> None:
    sent = outgoing(
        {"authorization": "Bearer client", "content-length": "3", "x-user": "ann", "content-type": "text/plain"},
        private={"x-user"},
        own={"authorization": "Bearer backend", "x-extra": "1"},
    )
    assert sent == {
        "authorization": "Bearer backend",
        "content-type": "text/plain",
        "x-extra": "1",
        "accept-encoding": "identity",
    }


def test_length_encoding_and_repeated_headers_reach_the_client_in_order() -> None:
    answer = [(b"Content-Length", b"3"), (b"Content-Encoding", b"br"), (b"Link", b"a"), (b"Link", b"b")]
    assert relayable([(b"Transfer-Encoding", b"chunked"), (b"Proxy-Authenticate", b"x"), *answer], status=200) == [
        (name.lower(), value) for name, value in answer
    ]


@pytest.mark.parametrize(("status", "kept"), [(200, True), (204, False), (205, True), (304, False)])
def test_a_length_is_told_only_where_there_may_be_a_body(status: int, kept: bool) -> None:
    assert bool(relayable([(b"Content-Length", b"0")], status=status)) is kept


def test_cookies_of_a_backend_are_not_passed_on() -> None:
    answer = [(b"Set-Cookie", b"__cf_bm=1; Path=/; Domain=.example.com"), (b"X-A", b"1"), (b"set-cookie", b"b=2")]
    assert relayable(answer, status=200) == [(b"x-a", b"1")]


def test_which_pages_may_read_an_answer_is_not_the_backends_to_say() -> None:
    answer = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"access-control-allow-credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"x-a"),
        (b"X-A", b"1"),
    ]
    assert relayable(answer, status=200) == [(b"x-a", b"1")]


def test_what_a_router_says_of_itself_is_not_taken_from_a_backend() -> None:
    said = ["X-Memory-Status", "x-memory-count", "x-memory-latency-ms", "x-router-overhead-ms", "x-vsr-selected-model"]
    answer = [(name.encode(), b"forged") for name in (*said, "x-vsr-selected-decision")]
    assert relayable([*answer, (b"x-vsr-other", b"1")], status=200) == [(b"x-vsr-other", b"1")]

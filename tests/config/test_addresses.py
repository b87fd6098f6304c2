import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.config.addresses import bad_base_url, bad_endpoint, bad_header_value, bad_network, is_header_name


@pytest.mark.parametrize("text", ["127.0.0.1:8000", "llm:1", "a.b-c_d.example:65535", "[::1]:8000"])
def test_host_and_port_are_an_endpoint(text: str) -> None:
    assert bad_endpoint(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "llm",
        "llm:",
        ":80",
        "llm:0",
        "llm:65536",
        "::1:80",
        "[::1]",
        "[x]:80",
        "http://llm:80",
        "a b:80",
        "u@h:80",
        "h:8\n",
    ],
)
def test_everything_else_is_no_endpoint(text: str) -> None:
    assert "base_url" in bad_endpoint(text)


@pytest.mark.parametrize("text", ["http://h", "https://h:8443/v1", "http://[::1]:8000/v1/", "http://u:p@h/v1"])
def test_http_with_a_host_is_a_base_url(text: str) -> None:
    assert bad_base_url(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "h:80",
        "ftp://h",
        "http://",
        "http:///v1",
        "http://h:x",
        "http://h:99999",
        "http://[x",
        "http://h /v1",
        "http://h?a",
    ],
)
def test_everything_else_is_no_base_url(text: str) -> None:
    assert "http://" in bad_base_url(text)


def test_networks_are_cidr_without_host_bits() -> None:
    assert not any(bad_network(text) for text in ("10.0.0.0/8", "::1/128", "192.0.2.7"))
    assert "10.0.0.0/8" in bad_network("10.1.2.3/8")
    assert bad_network("proxy.example.org")


def test_header_parts_cannot_smuggle_lines() -> None:
    assert is_header_name("X-Team_1")
    assert not any(is_header_name(text) for text in ("", "a b", "a:b", "a\n", "é"))
    assert bad_header_value("plain é\tvalue") == ""
    assert bad_header_value("a\r\nb: c")


@given(st.text(max_size=30))
def test_any_text_is_judged_without_an_exception(text: str) -> None:
    for judge in (bad_endpoint, bad_base_url, bad_network, bad_header_value):
        assert isinstance(judge(text), str)

"""Credentials are read from headers, or refused without being repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.identity.credentials import MAX_CREDENTIAL_CHARS, api_key_header, bearer_token
from memrouter.errors import InvalidRequest, Unauthenticated

AUTHORIZATION = b"authorization"


def headers(*values: bytes, name: bytes = AUTHORIZATION) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"router"), *((name, value) for value in values)]


@pytest.mark.parametrize("value", [b"Bearer a.B-_~+/9==", b"bearer a.B-_~+/9==", b" BEARER   a.B-_~+/9== \t"])
def test_a_bearer_token_is_read_in_any_case_of_its_scheme(value: bytes) -> None:
    assert bearer_token(headers(value)) == "a.B-_~+/9=="


@pytest.mark.parametrize("given", [[], [b""], [b"Basic YTpi"], [b"Bearertoken"], [b"Digest bearer x"]])
def test_other_schemes_are_no_bearer_token(given: list[bytes]) -> None:
    assert bearer_token(headers(*given)) is None


@pytest.mark.parametrize(
    "value", [b"Bearer", b"Bearer a b", b"Bearer a,b", b'Bearer "a"', b"Bearer \xc3\xa9", b"Bearer a\x00b", b"Bearer ="]
)
def test_what_is_no_token_is_refused_without_repeating_it(value: bytes) -> None:
    with pytest.raises(Unauthenticated) as caught:
        bearer_token(headers(value))
    assert 'error="invalid_token"' in caught.value.challenge
    assert value[7:].decode() not in str(caught.value) or not value[7:]


def test_a_token_beyond_the_bound_is_refused() -> None:
    fits = MAX_CREDENTIAL_CHARS - len("Bearer ")
    assert bearer_token(headers(b"Bearer " + b"a" * fits)) == "a" * fits
    with pytest.raises(Unauthenticated):
        bearer_token(headers(b"Bearer " + b"a" * (fits + 1)))
    assert api_key_header(headers(b"a" * (MAX_CREDENTIAL_CHARS + 1), name=b"x-api-key")) is None


@pytest.mark.parametrize("name", [AUTHORIZATION, b"x-api-key"])
def test_a_header_given_twice_or_not_in_utf8_is_refused(name: bytes) -> None:
    read = bearer_token if name == AUTHORIZATION else api_key_header
    for values, code in (([b"Bearer a", b"Bearer a"], "duplicate_header"), ([b"Bearer \xff"], "invalid_encoding")):
        with pytest.raises(InvalidRequest) as caught:
            read(headers(*values, name=name))
        assert (caught.value.code, caught.value.param) == (code, name.decode())


@given(st.binary(max_size=200), st.sampled_from([b"", b"Bearer ", b"bearer\t", b"BEARER  "]))
def test_any_bytes_are_a_token_none_or_refused(value: bytes, scheme: bytes) -> None:
    try:
        token = bearer_token(headers(scheme + value))
    except (InvalidRequest, Unauthenticated):
        return
    assert token is None or (token.isascii() and token in (scheme + value).decode())

"""Which keys in a file or an answer can verify what."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from memrouter.api.identity.verification_keys import MOST_TRIED, KeySet, public_keys, shared_secret

from .issuer import ec_key, jwk, jwks, pem, rsa_key

RSA, CURVE = rsa_key(), ec_key()
BOTH = ("RS256", "ES256")


def test_keys_are_found_by_id_and_algorithm() -> None:
    keys = public_keys(jwks(jwk(RSA, "one"), jwk(CURVE, "two")), algorithms=("RS256", "PS512", "ES256"))
    assert len(keys) == 3
    assert [len(keys.find(*asked)) for asked in (("one", "RS256"), ("one", "PS512"), ("two", "ES256"))] == [1, 1, 1]
    assert [len(keys.find(*asked)) for asked in (("one", "ES256"), ("two", "RS256"), ("three", "RS256"))] == [0, 0, 0]
    assert [len(keys.find(None, algorithm)) for algorithm in ("RS256", "ES256", "HS256")] == [1, 1, 0]


@pytest.mark.parametrize(
    "useless",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U", "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "RS256"},
        {**jwk(RSA), "use": "enc"},
        {**jwk(RSA), "key_ops": ["encrypt"]},
        {**jwk(RSA), "alg": "RSA-OAEP"},
        {**jwk(RSA), "alg": "HS256"},
        {**jwk(RSA), "alg": ["RS256"]},
        {**jwk(RSA), "n": 5},
        ECAlgorithm.to_jwk(CURVE, as_dict=True),
        {**jwk(CURVE), "crv": "P-999"},
        {**jwk(CURVE), "crv": ["P-256"]},
        {**jwk(CURVE), "x": "AAAA"},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        {},
    ],
)
def test_keys_of_no_use_are_passed_over(useless: dict[str, Any]) -> None:
    assert len(KeySet([useless], algorithms=(*BOTH, "HS256"))) == 0
    assert len(public_keys(jwks(useless, jwk(RSA, "good")), algorithms=BOTH)) == 1


def test_a_key_that_names_its_algorithm_has_no_other() -> None:
    keys = KeySet([jwk(RSA, alg="RS512")], algorithms=("RS256", "RS512"))
    assert (len(keys.find(None, "RS256")), len(keys.find(None, "RS512"))) == (0, 1)


def test_no_token_is_tried_with_many_keys() -> None:
    keys = KeySet([jwk(RSA, str(number)) for number in range(50)], algorithms=BOTH)
    assert len(keys.find(None, "RS256")) == MOST_TRIED


def test_a_file_may_hold_several_public_keys_in_pem() -> None:
    keys = public_keys(b"# ours\n" + pem(RSA) + b"\n" + pem(CURVE), algorithms=BOTH)
    assert [len(keys.find("any", algorithm)) for algorithm in BOTH] == [1, 1]


def test_a_private_key_is_refused() -> None:
    private = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="private key"):
        public_keys(private, algorithms=BOTH)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": [5]}', b'{"keys": []}', b"\xff", b"[" * 5000, b"-----BEGIN X-----"],
)
def test_what_holds_no_key_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        public_keys(raw, algorithms=BOTH)


@given(st.binary(max_size=300).map(lambda raw: b"-----BEGIN PUBLIC KEY-----\n" + raw + b"\n-----END PUBLIC KEY-----"))
def test_any_block_is_refused_cleanly(raw: bytes) -> None:
    with pytest.raises(ValueError):
        public_keys(raw, algorithms=BOTH)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "n", "e", "crv", "x", "y", "alg", "use", "kid", "key_ops", "k"]),
        st.recursive(
            st.none()
            | st.integers()
            | st.text(max_size=12)
            | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519"]),
            lambda inner: st.lists(inner, max_size=2),
            max_leaves=3,
        ),
    )
)
def test_any_jwk_is_taken_or_passed_over(key: dict[str, Any]) -> None:
    KeySet([json.loads(json.dumps(key))], algorithms=(*BOTH, "EdDSA", "HS256"))


def test_a_shared_secret_serves_its_algorithms_alone() -> None:
    keys = shared_secret("s" * 64, algorithms=("HS256", "HS512"))
    assert [len(keys.find("any", algorithm)) for algorithm in ("HS256", "HS512", "HS384", "RS256")] == [1, 1, 0, 0]

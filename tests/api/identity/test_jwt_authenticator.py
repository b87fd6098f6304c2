"""Which tokens are believed, what they say, and every known way to forge one."""

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memrouter.api.identity.credentials import MAX_CREDENTIAL_CHARS
from memrouter.api.identity.jwt_authenticator import JwtAuthenticator, find_claim, tenant_user
from memrouter.api.identity.key_source import FixedKeys
from memrouter.api.identity.verification_keys import KeySet, shared_secret
from memrouter.config.auth import AuthSettings, JwtSettings
from memrouter.errors import InvalidRequest, Unauthenticated
from memrouter.models.turn import ORDINARY, Identity, Permission

from .issuer import AUDIENCE, ISSUER, claims, ec_key, forged, jwk, pem, rsa_key, token

SECRET = "0123456789abcdef" * 2
ALGORITHMS = ("RS256", "ES256")


@cache
def keys() -> Any:
    """The issuer's keys, and one of somebody else; made once, since that is slow."""
    return rsa_key(), ec_key(), rsa_key()


def authenticator(*, operators: tuple[str, ...] = (), **settings: Any) -> JwtAuthenticator:
    own, curve, _ = keys()
    chosen = JwtSettings(**{"issuer": ISSUER, "audience": (AUDIENCE, "other-name"), **settings})
    auth = AuthSettings(mode="jwt", jwt=chosen, operator_groups=operators)
    if chosen.secret.get_secret_value():
        return JwtAuthenticator(auth, keys=FixedKeys(shared_secret(SECRET, algorithms=chosen.algorithms)))
    known = KeySet([jwk(own, "rsa"), jwk(curve, "ec")], algorithms=chosen.algorithms)
    return JwtAuthenticator(auth, keys=FixedKeys(known))


async def identify(text: str, *more: tuple[bytes, bytes], **settings: Any) -> Identity:
    headers = [(b"authorization", b"Bearer " + text.encode()), *more]
    return await authenticator(**settings).identify(headers, ("203.0.113.9", 1))


async def refusal(text: str, **settings: Any) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await identify(text, **settings)
    assert 'error="invalid_token"' in caught.value.challenge
    for segment in text.split("."):
        assert not segment or segment not in str(caught.value) or len(segment) < 4
    return str(caught.value)


def good(**changed: Any) -> str:
    return str(token(keys()[0], headers={"kid": "rsa"}, **changed))


@pytest.mark.parametrize("audience", [AUDIENCE, ["x", "other-name"], [AUDIENCE]])
async def test_a_token_of_the_issuer_for_us_names_the_user(audience: Any) -> None:
    assert await identify(good(aud=audience)) == Identity("alice")


@pytest.mark.parametrize("kid", ["ec", None])
async def test_each_algorithm_goes_with_its_own_key(kid: str | None) -> None:
    text = token(keys()[1], algorithm="ES256", headers={"kid": kid} if kid else None)
    assert (await identify(text)).user_id == "alice"


async def test_a_shared_secret_is_believed_where_one_is_configured() -> None:
    text = token(SECRET, algorithm="HS256")
    settings = {"secret": SECRET, "algorithms": ("HS256",)}
    assert (await identify(text, **settings)).user_id == "alice"
    assert "signature" in await refusal(token("x" * 32, algorithm="HS256"), **settings)
    assert "algorithm" in await refusal(token(SECRET * 2, algorithm="HS512"), **settings)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"exp": int(time.time()) - 31}, "expired"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "lacks a claim"),
        ({"exp": "soon"}, "cannot be read"),
        ({"exp": -(10**400)}, "cannot be read|expired"),
        ({"exp": float("nan")}, "cannot be read"),
        ({"nbf": int(time.time()) + 300}, "not valid yet"),
        ({"nbf": "x"}, "cannot be read"),
        ({"iat": int(time.time()) + 300}, "not valid yet"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": [ISSUER]}, "another issuer"),
        ({"iss": None}, "lacks a claim"),
        ({"aud": "somebody-else"}, "another audience"),
        ({"aud": None}, "lacks a claim"),
        ({"aud": {"memrouter": 1}}, "another audience"),
        ({"aud": [1]}, "another audience"),
        ({"sub": None}, "claim sub is missing"),
        ({"sub": ""}, "claim sub is missing"),
        ({"sub": 7}, "claim sub is missing or no text"),
        ({"sub": ["alice"]}, "claim sub is missing or no text"),
        ({"sub": {"a": "b"}}, "claim sub is missing or no text"),
        ({"sub": "a\nb"}, "unfit characters"),
        ({"sub": "a" * 257}, "unfit characters"),
        ({"sub": "\ud800"}, "unfit characters"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(changed: dict[str, Any], said: str) -> None:
    header, payload = {"alg": "RS256", "kid": "rsa"}, claims(**changed)
    text = jwt.api_jws.encode(json.dumps(payload).encode(), keys()[0], "RS256", headers=header)
    message = await refusal(text)
    assert any(part in message for part in said.split("|")), message


@pytest.mark.parametrize("seconds", [-29, 1, 600])
async def test_clocks_may_differ_a_little(seconds: int) -> None:
    assert (await identify(good(exp=int(time.time()) + seconds))).user_id == "alice"


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", None, 7, ["RS256"], "rs256", "HS256", "RS512", "PS256"]
)
async def test_an_algorithm_that_is_not_configured_is_never_used(algorithm: Any) -> None:
    header = {"typ": "JWT", "kid": "rsa"} | ({"alg": algorithm} if algorithm is not None else {})
    for signature in (b"", b"x" * 256):
        assert "algorithm" in await refusal(forged(header, claims(), signature))


@pytest.mark.parametrize("form", ["pem", "jwk", "modulus"])
async def test_the_public_key_is_no_shared_secret(form: str) -> None:
    own = keys()[0]
    secrets = {"pem": pem(own), "jwk": json.dumps(jwk(own)).encode(), "modulus": jwk(own)["n"].encode()}
    for algorithm in ("HS256", "RS256"):
        unsigned = forged({"alg": algorithm, "kid": "rsa"}, claims()).rsplit(".", 1)[0]
        digest = hmac.new(secrets[form], unsigned.encode(), hashlib.sha256).digest()
        text = f"{unsigned}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
        assert "algorithm" in await refusal(text) or "signature" in await refusal(text)
        assert await refusal(text, algorithms=("RS256",))


async def test_a_key_of_one_kind_never_verifies_for_another() -> None:
    own, curve, _ = keys()
    for key, algorithm, kid in ((own, "RS256", "ec"), (curve, "ES256", "rsa")):
        assert "signature" in await refusal(token(key, algorithm=algorithm, headers={"kid": kid}))


@pytest.mark.parametrize(
    "kid",
    ["nope", "../../../../dev/null", "/etc/passwd", "rsa' OR 1=1 --", "http://evil.example/k", "", "rsa\x00", "RSA"],
)
async def test_a_key_id_is_a_name_and_nothing_else(kid: str) -> None:
    assert "signature" in await refusal(token(keys()[0], headers={"kid": kid}))


@pytest.mark.parametrize("kid", [7, ["rsa"], {"a": 1}, True])
async def test_a_key_id_that_is_no_text_is_refused(kid: Any) -> None:
    assert "cannot be read" in await refusal(forged({"alg": "RS256", "kid": kid}, claims(), b"x" * 256))


async def test_keys_that_a_token_brings_along_or_points_at_are_not_looked_at() -> None:
    stranger = keys()[2]
    brought = {
        "kid": "stranger",
        "jwk": jwk(stranger, "stranger"),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": ["MIIB"],
    }
    assert "signature" in await refusal(token(stranger, headers=brought))
    assert "signature" in await refusal(token(stranger, headers={**brought, "kid": "rsa"}))


async def test_an_extension_that_must_be_understood_is_refused() -> None:
    text = token(keys()[0], headers={"kid": "rsa", "crit": ["exp2"], "exp2": 1})
    assert "cannot be read" in await refusal(text)


async def test_a_changed_token_is_refused() -> None:
    header, payload, signature = good().split(".")
    other = forged({}, claims(sub="bob")).split(".")[1]
    for text in (
        f"{header}.{other}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}..{signature}",
    ):
        assert "cannot be read, or its signature is wrong" in await refusal(text)


async def test_a_huge_token_is_refused_before_it_is_read() -> None:
    assert "not a token" in await refusal("a" * MAX_CREDENTIAL_CHARS)
    deep = base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=").decode()
    assert "cannot be read" in await refusal(f"{deep}.e30.e30")


async def test_a_header_given_twice_is_refused() -> None:
    text = good()
    with pytest.raises(InvalidRequest) as caught:
        await identify(text, (b"authorization", b"Bearer " + text.encode()))
    assert caught.value.code == "duplicate_header"


async def test_without_a_token_nobody_comes_in() -> None:
    for headers in ([], [(b"authorization", b"Basic YTpi")], [(b"x-authz-user-id", b"alice")], [(b"x-api-key", b"k")]):
        with pytest.raises(Unauthenticated) as caught:
            await authenticator().identify(headers, ("127.0.0.1", 1))
        assert caught.value.challenge == 'Bearer realm="memrouter"'


async def test_claims_name_project_groups_and_operators() -> None:
    settings = {"project_claim": "project", "groups_claim": "realm_access.roles", "operators": ("root",)}
    identity = await identify(good(project="work", realm_access={"roles": ["a b", "c,d"]}), **settings)
    assert identity == Identity("alice", "work", ("a b", "c,d"))
    identity = await identify(good(project="work", realm_access={"roles": "staff, root"}), **settings)
    assert identity == Identity("alice", "work", ("staff", "root"), ORDINARY | {Permission.OPERATOR})
    assert (await identify(good(project="work"), **settings)).groups == ()
    assert "claim project" in await refusal(good(), **settings)
    assert "neither text nor a list" in await refusal(good(project="p", realm_access={"roles": [1]}), **settings)
    assert "group" in await refusal(good(project="p", realm_access={"roles": [""]}), **settings)


async def test_the_project_header_chooses_where_no_claim_does() -> None:
    wanted = (b"x-authz-project-id", b"home")
    assert (await identify(good(), wanted)).project_id == "home"
    groups = (b"x-authz-user-groups", b"root")
    assert (await identify(good(), groups, operators=("root",), groups_claim="groups")).permissions == ORDINARY


async def test_users_of_tenants_are_kept_apart() -> None:
    settings = {"tenant_claim": "org", "user_claim": "email"}
    pairs = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("A", "b/c"), ("a", "b%2Fc")]
    users = [(await identify(good(org=org, email=email), **settings)).user_id for org, email in pairs]
    assert users[:2] == ["a/b/c", "a%2Fb/c"]
    assert len(set(users)) == len(pairs)
    assert "claim org" in await refusal(good(email="c"), **settings)
    assert "256" in await refusal(good(org="o" * 200, email="c" * 200), **settings)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_two_users_of_tenants_have_one_id(tenant: str, user: str, other_tenant: str, other_user: str) -> None:
    same = tenant_user(tenant, user) == tenant_user(other_tenant, other_user)
    assert same == ((tenant, user) == (other_tenant, other_user))


def test_a_claim_is_found_by_its_whole_name_first() -> None:
    tree = {"a.b": 1, "a": {"b": 2, "c": {"d": 3}}, "https://x.example/groups": ["g"]}
    assert [find_claim(tree, name) for name in ("a.b", "a.c.d", "https://x.example/groups", "a.x", "a.b.c", "")] == [
        1, 3, ["g"], None, None, None,
    ]  # fmt: skip


@given(
    st.from_regex(r"[A-Za-z0-9._=-]{1,120}", fullmatch=True)
    | st.lists(st.binary(max_size=40), max_size=4).map(
        lambda parts: ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) or "a"
    )
)
async def test_any_token_is_refused_cleanly(text: str) -> None:
    await refusal(text)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=4), max_size=2),
    )
)
async def test_any_header_of_a_token_is_refused_cleanly(header: dict[str, Any]) -> None:
    await refusal(forged({"alg": "RS256", **header}, claims(), b"x" * 256))

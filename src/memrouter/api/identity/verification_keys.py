"""Keys that signatures of tokens are verified with, each bound to one algorithm. Needs the extra ``[jwt]``."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import jwt
import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

MAX_KEYS: Final = 100
MOST_TRIED: Final = 4
"""Most keys that one token is tried with."""

_PEM = re.compile(rb"-----BEGIN (?P<label>[A-Z ]+)-----.*?-----END (?P=label)-----", re.DOTALL)
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class KeySet:
    """The keys of one issuer.

    A key verifies with the algorithms that its kind allows and that are wanted, never with one that a token names and
    nobody asked for; a public key never serves as a shared secret.

    Args:
        keys: JSON Web Keys; those that are private, shared or otherwise of no use are passed over.
        algorithms: The wanted ones.
    """

    def __init__(self, keys: Iterable[Mapping[str, Any]], *, algorithms: Sequence[str]) -> None:
        self._bound: dict[tuple[str | None, str], list[jwt.PyJWK]] = {}
        for jwk in keys:
            for algorithm in _algorithms_of(jwk):
                if algorithm in algorithms:
                    self._bind(jwk, algorithm)

    def __len__(self) -> int:
        return sum(map(len, self._bound.values()))

    def find(self, kid: str | None, algorithm: str) -> Sequence[jwt.PyJWK]:
        """Return the keys to try for a token: those of its key id, else those without id; without one, any."""
        if kid is not None:
            found = self._bound.get((kid, algorithm)) or self._bound.get((None, algorithm), [])
        else:
            found = [key for (_, bound), keys in self._bound.items() if bound == algorithm for key in keys]
        return found[:MOST_TRIED]

    def _bind(self, jwk: Mapping[str, Any], algorithm: str) -> None:
        try:
            key = jwt.PyJWK(dict(jwk), algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
            return
        kid = jwk.get("kid")
        self._bound.setdefault((kid if isinstance(kid, str) else None, algorithm), []).append(key)


def shared_secret(secret: str, *, algorithms: Sequence[str]) -> KeySet:
    """Return the key that is a shared secret, for HS256, HS384 and HS512."""
    value = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    keys = KeySet((), algorithms=())
    for algorithm in algorithms:
        keys._bind({"kty": "oct", "k": value}, algorithm)  # noqa: SLF001 - the only one who may have a shared key
    return keys


def public_keys(raw: bytes, *, algorithms: Sequence[str]) -> KeySet:
    """Return the public keys in a file or an answer: PEM blocks, or a JSON Web Key Set.

    Raises:
        ValueError: Nothing in it can verify any of the algorithms; the message says what is wrong.
    """
    keys = KeySet(_pem_keys(raw) if b"-----BEGIN " in raw else _jwks_keys(raw), algorithms=algorithms)
    if not len(keys):
        msg = f"no public key in it fits {', '.join(algorithms)}"
        raise ValueError(msg)
    return keys


def _jwks_keys(raw: bytes) -> list[dict[str, Any]]:
    try:
        document = msgspec.json.decode(raw)
        keys = document["keys"] if isinstance(document, dict) and "keys" in document else [document]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        msg = "neither PEM nor a JSON Web Key Set"
        raise ValueError(msg)
    return keys[:MAX_KEYS]


def _pem_keys(raw: bytes) -> Iterator[dict[str, Any]]:
    for block in list(_PEM.finditer(raw))[:MAX_KEYS]:
        label = block["label"].decode()
        if "PRIVATE" in label:
            msg = "a private key, which belongs to the issuer alone; put the public key there"
            raise ValueError(msg)
        try:
            if label == "CERTIFICATE":
                key: Any = x509.load_pem_x509_certificate(block[0]).public_key()
            else:
                key = load_pem_public_key(block[0])
            yield _as_jwk(key)
        except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm, jwt.PyJWTError):
            msg = f"a PEM block {label!r} that is no public key"
            raise ValueError(msg) from None


def _as_jwk(key: Any) -> dict[str, Any]:
    for kind in (RSAAlgorithm, ECAlgorithm, OKPAlgorithm):
        try:
            found: dict[str, Any] = kind.to_jwk(key, as_dict=True)
        except (jwt.PyJWTError, TypeError, AttributeError):
            continue
        return {name: value for name, value in found.items() if name != "key_ops"}
    msg = "not a key of RSA, of an elliptic curve or of Edwards kind"
    raise ValueError(msg)


def _algorithms_of(jwk: Mapping[str, Any]) -> Sequence[str]:
    """Return what a public key may verify with, by its kind and by what it says itself."""
    if "d" in jwk or jwk.get("use", "sig") != "sig":
        return ()
    operations = jwk.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return ()
    match jwk.get("kty"):
        case "RSA":
            able: tuple[str, ...] = tuple(f"{kind}{bits}" for kind in ("RS", "PS") for bits in (256, 384, 512))
        case "EC":
            able = tuple(name for curve, name in _CURVES.items() if curve == jwk.get("crv"))
        case "OKP":
            able = ("EdDSA",) if jwk.get("crv") == "Ed25519" else ()
        case _:
            able = ()
    said = jwk.get("alg")
    return able if said is None else tuple(name for name in able if name == said)

"""A token issuer over real sockets, whose keys and tokens a test makes."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example"
AUDIENCE = "memrouter"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: PrivateKey, kid: str | None = None, **fields: Any) -> dict[str, Any]:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        made: dict[str, Any] = RSAAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = ECAlgorithm.to_jwk(public, as_dict=True)
    return {**made, **({"kid": kid} if kid else {}), **fields}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def claims(**changed: Any) -> dict[str, Any]:
    """Return good claims with changes; a change to None leaves the claim out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def token(key: Any, *, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm=algorithm, headers=headers)


def forged(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    """Return a token of exactly these parts."""
    return ".".join(_segment(part) for part in (json.dumps(header).encode(), json.dumps(payload).encode(), signature))


def _segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Issuer:
    """Publishes ``body`` with ``status``; ``fetched`` counts how often."""

    url: str = ""
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fetched: int = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.fetched += 1
        return web.Response(body=self.body, status=self.status, headers=self.headers)


@asynccontextmanager
async def running_issuer(body: bytes) -> AsyncIterator[Issuer]:
    issuer = Issuer(body=body)
    app = web.Application()
    app.router.add_get("/jwks", issuer.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    try:
        yield issuer
    finally:
        await runner.cleanup()

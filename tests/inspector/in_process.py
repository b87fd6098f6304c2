"""The inspector in the process of the test: for headers, addresses and contents that no browser would send."""

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

import httpx
from fastapi import FastAPI

from memrouter.api.app import open_access
from memrouter.clock import SystemClock
from memrouter.config.settings import Listener, Settings
from memrouter.inspector.mount import create_inspected_app
from memrouter.runtime import Runtime

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Inspected:
    """A router with the inspector, without a port."""

    app: FastAPI
    runtime: Runtime


class Connect(Protocol):
    """Opens a client."""

    def __call__(
        self, inspected: Inspected, *, peer: str = ..., host: str = ..., **headers: str
    ) -> Awaitable[httpx.AsyncClient]:
        """Return a client that comes from ``peer`` and asks for ``host``; ``_`` in a header's name stands for ``-``."""
        ...


@contextlib.asynccontextmanager
async def inspected(
    folder: Path, *, listener: Listener | None = None, memory: dict[str, Any] | None = None, **sections: Any
) -> AsyncIterator[Inspected]:
    """Open a router with a database in ``folder``; ``sections`` are further ones of ``global``."""
    kept = {"backend": "sqlite", "sqlite": {"path": str(folder / "memories.db")}, "embedding_model": "hash"}
    settings = Settings.model_validate(
        {
            "providers": {"models": [{"name": "m", "backend_refs": [{"endpoint": "127.0.0.1:9"}]}]},
            "global": {"stores": {"memory": {**kept, **(memory or {})}}, **sections},
        }
    )
    runtime = await Runtime.open(settings, env={}, clock=SystemClock(), rng=Random(7))
    try:
        yield Inspected(create_inspected_app(runtime, listener or Listener(), access=open_access(runtime)), runtime)
    finally:
        await runtime.aclose()


def token_of(page: httpx.Response) -> str:
    """Return the token of the forms of a page."""
    found = _TOKEN.search(page.text)
    assert found is not None, page.text
    return found[1]


async def sign_in(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    """Send the sign-in form as a browser does and return what comes back."""
    token = token_of(await client.get("/ui/sign-in"))
    return await client.post("/ui/sign-in", data={"csrf": token, **fields}, headers=SAME_ORIGIN)


async def send(client: httpx.AsyncClient, path: str, *, form_on: str = "/ui/memories", **fields: str) -> httpx.Response:
    """Send a form with a token from a page, as a browser does."""
    token = token_of(await client.get(form_on))
    return await client.post(path, data={"csrf": token, **fields}, headers=SAME_ORIGIN)

"""Routers for the tests of operators' pages, with names in their configuration that want to be more than names."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import httpx

from memrouter.api.app import open_access
from memrouter.clock import Clock, SystemClock
from memrouter.config.settings import Listener, Settings
from memrouter.inspector.mount import create_inspected_app
from memrouter.runtime import Runtime

from .in_process import Connect, Inspected

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
SECRET = "sk-canary-0123456789abcdef"
OPERATOR = {"x_authz_user_id": "olga", "x_authz_user_groups": "ops"}
"""Headers of a proxy for an operator; see ``Connect``."""
PAGES = ("", "/statuses", "/store", "/routes", "/jobs", "/doctor", "/retention", "/users", "/looks", "/configuration")
FORMS = ("/store", "/routes", "/doctor", "/retention", "/users")

PROVIDERS = {
    "defaults": {"default_model": "m"},
    "models": [
        {"name": "m", "backend_refs": [{"name": "first", "endpoint": "127.0.0.1:9"}]},
        {
            "name": EVIL,
            "backend_refs": [
                {"name": EVIL, "endpoint": "127.0.0.1:9", "api_key": SECRET, "extra_headers": {"x-token": SECRET}},
                {"name": "reserve", "endpoint": "127.0.0.1:9", "weight": 0},
            ],
        },
    ],
}
ROUTING = {
    "signals": {"keywords": [{"name": EVIL, "keywords": ["off the record"]}]},
    "decisions": [
        {
            "name": EVIL,
            "description": EVIL,
            "priority": 200,
            "rules": {"type": "keyword", "name": EVIL},
            "modelRefs": [{"model": EVIL}],
            "plugins": [{"type": "memory", "configuration": {"enabled": False}}],
        },
        {"name": "everything", "priority": 1, "modelRefs": [{"model": "m", "weight": 3}, {"model": EVIL}]},
    ],
}


@contextlib.asynccontextmanager
async def operated(
    folder: Path,
    *,
    memory: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | None = None,
    operators_may_read: bool = False,
    listener: Listener | None = None,
    clock: Clock | None = None,
    **inspector: Any,
) -> AsyncIterator[Inspected]:
    """Open a router in this process; members of ``ops`` are its operators unless ``auth`` says otherwise."""
    kept = {"sqlite": {"path": str(folder / "memories.db"), "synchronous": "normal"}, "embedding_model": "hash"}
    settings = Settings.model_validate(
        {
            "providers": PROVIDERS,
            "routing": ROUTING,
            "global": {
                "auth": {"operator_groups": ["ops"]} if auth is None else auth,
                "inspector": {"enabled": True, "operators_may_read": operators_may_read, **inspector},
                "stores": {"memory": {**kept, **(memory or {})}},
            },
        }
    )
    runtime = await Runtime.open(settings, env={}, clock=clock or SystemClock(), rng=Random(7))
    try:
        app = create_inspected_app(runtime, listener or Listener(), access=open_access(runtime))
        yield Inspected(app, runtime)
    finally:
        await runtime.aclose()


async def as_operator(connect: Connect, inspected: Inspected) -> httpx.AsyncClient:
    """Return a client of an operator whom a proxy names."""
    return await connect(inspected, **OPERATOR)


async def remember(connect: Connect, inspected: Inspected, user: str, *contents: str) -> None:
    """Store memories of somebody."""
    client = await connect(inspected, x_authz_user_id=user)
    for content in contents:
        answer = await client.post("/v1/memory", json={"content": content})
        assert answer.status_code == 201, answer.text

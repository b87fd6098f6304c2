"""Where ``memrouter memory`` gets its answers: the store of this machine's configuration, or a running router."""

import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import msgspec

from memrouter.api.memory_forms import Search
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_views import Deleted, MemoryPage, MemoryView
from memrouter.cli.desk import config_name, require_store
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.config.providers import ProviderSettings
from memrouter.config.settings import Settings
from memrouter.errors import ConfigError, ConfigProblem, MemrouterError
from memrouter.memory.service import MemoryService
from memrouter.models.memory import MemoryType, Scope
from memrouter.runtime import Runtime

Answer = dict[str, Any]
"""JSON as the HTTP API gives it."""

PATIENCE_SECONDS = 60
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class MemoryDesk(Protocol):
    """One user's memories; every answer is in the form of the HTTP API."""

    async def search(self, form: Search) -> Answer:
        """Return what a search finds."""
        ...

    async def page(self, *, types: Sequence[MemoryType], limit: int, cursor: str | None) -> Answer:
        """Return a page of memories, newest first."""
        ...

    async def show(self, memory_id: str) -> Answer:
        """Return one memory."""
        ...

    async def forget(self, memory_id: str) -> Answer:
        """Remove one memory."""
        ...


class LocalDesk:
    """The memories of one owner in the configured store; satisfies ``MemoryDesk``.

    Args:
        service: Finds and forgets.
        finder: Searches.
        scope: Whose memories.
    """

    def __init__(self, service: MemoryService, finder: MemorySearch, scope: Scope) -> None:
        self._service = service
        self._finder = finder
        self._scope = scope

    async def search(self, form: Search) -> Answer:
        """Return what a search finds."""
        return (await self._finder.run(self._service, self._scope, form)).model_dump(mode="json")

    async def page(self, *, types: Sequence[MemoryType], limit: int, cursor: str | None) -> Answer:
        """Return a page of memories, newest first."""
        page = await self._service.list(self._scope, types=frozenset(types or MemoryType), limit=limit, cursor=cursor)
        view = MemoryPage(
            memories=[MemoryView.of(record) for record in page.records],
            total=page.total,
            limit=limit,
            next_cursor=page.next.encode() if page.next else None,
        )
        return view.model_dump(mode="json")

    async def show(self, memory_id: str) -> Answer:
        """Return one memory."""
        return MemoryView.of(await self._service.get(self._scope, memory_id)).model_dump(mode="json")

    async def forget(self, memory_id: str) -> Answer:
        """Remove one memory."""
        await self._service.forget(self._scope, memory_id)
        return Deleted(message="Memory deleted successfully").model_dump(mode="json")


class RemoteDesk:
    """The memories that a running router shows; satisfies ``MemoryDesk``.

    Args:
        session: Sends the headers that say who is asking; closed by whoever opened it.
        url: Address of the router, such as ``http://127.0.0.1:8888``.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._memories = f"{url.rstrip('/').removesuffix('/v1')}/v1/memory"

    async def search(self, form: Search) -> Answer:
        """Return what a search finds."""
        return await self._ask("POST", "/search", json=form.model_dump(mode="json", exclude_none=True))

    async def page(self, *, types: Sequence[MemoryType], limit: int, cursor: str | None) -> Answer:
        """Return a page of memories, newest first."""
        named = [("type", each.value) for each in types] + ([("cursor", cursor)] if cursor else [])
        return await self._ask("GET", "", params=[("limit", str(limit)), *named])

    async def show(self, memory_id: str) -> Answer:
        """Return one memory."""
        return await self._ask("GET", f"/{quote(memory_id, safe='')}")

    async def forget(self, memory_id: str) -> Answer:
        """Remove one memory."""
        return await self._ask("DELETE", f"/{quote(memory_id, safe='')}")

    async def _ask(self, method: str, path: str, **options: Any) -> Answer:
        """Return the answer of the router.

        Raises:
            MemrouterError: There is none, or it is an error; the message says which.
        """
        try:
            async with self._session.request(method, self._memories + path, **options) as reply:
                status, body = reply.status, await reply.content.read(MAX_ANSWER_BYTES + 1)
                while len(body) <= MAX_ANSWER_BYTES and (more := await reply.content.read(MAX_ANSWER_BYTES)):
                    body += more
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise MemrouterError(f"no answer from the router at {self._memories}: {_reason(error)}") from None
        if status != 200:
            raise MemrouterError(f"the router answered with status {status}: {_message(body)}")
        try:
            answer: Answer = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise MemrouterError(f"{self._memories} is no memrouter: it sent something else than JSON") from None
        return answer


@asynccontextmanager
async def open_local(config: Path | None, scope: Scope) -> AsyncIterator[LocalDesk]:
    """Open the configured store, with embedder and reranker; no model server is needed.

    Raises:
        ConfigError: The configuration cannot be used, has memory switched off, or there is no store.
        StoreError: The store cannot be opened.
    """
    loaded = load_settings(config, env=os.environ).settings
    require_store(loaded.memory, config)
    settings = _bare(loaded)
    runtime = await Runtime.open(settings, env=os.environ, clock=SystemClock(), rng=random.Random())
    try:
        if runtime.memory is None:
            raise ConfigError([_switched_off(config)])
        finder = MemorySearch(
            settings=settings.memory,
            default_threshold=runtime.default_threshold,
            reflection=runtime.reflection,
            analyzer=runtime.analyzer,
            clock=runtime.clock,
        )
        yield LocalDesk(runtime.memory, finder, scope)
    finally:
        await runtime.aclose()


@asynccontextmanager
async def open_remote(url: str, headers: Mapping[str, str]) -> AsyncIterator[RemoteDesk]:
    """Talk to a running router.

    Args:
        url: Its address.
        headers: What says who is asking.
    """
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield RemoteDesk(session, url)


def _bare(settings: Settings) -> Settings:
    """Return the settings without model servers, whose keys nobody here may have, and without moving the store."""
    memory = settings.memory.model_copy(update={"migration": None})
    stores = settings.global_.stores.model_copy(update={"memory": memory})
    everything = settings.global_.model_copy(update={"stores": stores})
    return settings.model_copy(update={"providers": ProviderSettings(), "global_": everything})


def _switched_off(config: Path | None) -> ConfigProblem:
    return ConfigProblem(
        file=config_name(config),
        line=None,
        key="global.stores.memory.enabled",
        found="false, in every route",
        allowed="true",
        hint="Name the router's configuration with --config",
    )


def _message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, IndexError):
        return "it is no memrouter, or something in front of it refused"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

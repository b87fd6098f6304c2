"""Where ``memrouter memory`` gets its answers: the store of this machine's configuration, or a running router."""

import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import aiohttp

from memrouter.api.memory_conversations import DeleteParams, ListParams
from memrouter.api.memory_forms import MemoryChange, NewMemory, Replacement, Search
from memrouter.api.memory_search import MemorySearch
from memrouter.cli.desk import config_name, require_store
from memrouter.cli.local_desk import LocalDesk
from memrouter.cli.remote_desk import Answer, RemoteDesk
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.config.providers import ProviderSettings
from memrouter.config.settings import Settings
from memrouter.errors import ConfigError, ConfigProblem
from memrouter.models.memory import Scope
from memrouter.runtime import Runtime

PATIENCE_SECONDS = 60


class MemoryDesk(Protocol):
    """One user's memories; every answer is in the form of the HTTP API."""

    async def search(self, form: Search) -> Answer:
        """Return what a search finds."""
        ...

    async def page(self, params: ListParams) -> Answer:
        """Return a page of memories, newest first."""
        ...

    async def show(self, memory_id: str) -> Answer:
        """Return one memory."""
        ...

    async def add(self, new: NewMemory) -> Answer:
        """Remember something; return what became of it."""
        ...

    async def change(self, memory_id: str, change: MemoryChange) -> Answer:
        """Change one memory and return it."""
        ...

    async def supersede(self, memory_id: str, new: Replacement) -> Answer:
        """Put a new fact in the place of a memory and return the memory that holds it."""
        ...

    async def undo(self, memory_id: str) -> Answer:
        """Take back a replacement and return the memory that is found again."""
        ...

    async def release(self, memory_id: str) -> Answer:
        """Let a quarantined memory be found and return it."""
        ...

    async def history(self, memory_id: str) -> Answer:
        """Return what happened to a memory."""
        ...

    async def forget(self, memory_id: str) -> Answer:
        """Remove one memory."""
        ...

    async def forget_conversation(self, params: DeleteParams) -> Answer:
        """Remove everything that came from a conversation."""
        ...


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

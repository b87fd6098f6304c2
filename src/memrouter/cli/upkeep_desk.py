"""Where ``memrouter prune`` and ``memrouter consolidate`` work: the configured store, as a router opens it."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from memrouter.cli.desk import refuse_migration, require_store
from memrouter.clock import SystemClock
from memrouter.config.load import load_settings
from memrouter.config.providers import ProviderSettings
from memrouter.errors import MemrouterError
from memrouter.memory.upkeep.upkeep import Upkeep
from memrouter.runtime import Runtime

UserOption = Annotated[str | None, typer.Option("--user", "-u", help="Only this user's memories; omitted: all users'.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")]


@asynccontextmanager
async def open_upkeep(config: Path | None) -> AsyncIterator[Upkeep]:
    """Open the configured store with what keeps it in order; a model server is needed only to write merged texts.

    Raises:
        ConfigError: The configuration cannot be used, the store is being moved, or there is none.
        StoreError: The store cannot be opened.
    """
    settings = load_settings(config, env=os.environ).settings
    require_store(settings.memory, config)
    refuse_migration(settings.memory, config, hint="what is removed in one of its stores would stay in the other")
    if settings.consolidation_model is None:
        settings = settings.model_copy(update={"providers": ProviderSettings()})
    # The routes do not matter here: what is stored is kept in order wherever it came from.
    memory = settings.memory.model_copy(update={"enabled": True})
    stores = settings.global_.stores.model_copy(update={"memory": memory})
    everything = settings.global_.model_copy(update={"stores": stores})
    settings = settings.model_copy(update={"global_": everything})
    runtime = await Runtime.open(settings, env=os.environ, clock=SystemClock(), rng=random.Random())
    try:
        if runtime.upkeep is None:
            raise MemrouterError("memory is switched off in every route of this configuration")
        yield runtime.upkeep
    finally:
        await runtime.aclose()

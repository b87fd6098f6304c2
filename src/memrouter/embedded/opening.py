"""Opens memory inside a program: from a file of memories, a router's configuration, or settings."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from memrouter.clock import Clock, SystemClock
from memrouter.config.load import load_settings
from memrouter.config.settings import Settings
from memrouter.embedded.user_memory import UserMemory
from memrouter.models.memory import DEFAULT_PROJECT, Scope
from memrouter.runtime import Runtime

CONFIG_SUFFIXES: Final = frozenset({".yaml", ".yml"})
NO_ENVIRONMENT: Final[Mapping[str, str]] = {}


@asynccontextmanager
async def open_memory(
    target: str | Path | Settings = "memrouter.db",
    *,
    user: str,
    project: str = DEFAULT_PROJECT,
    env: Mapping[str, str] = NO_ENVIRONMENT,
    upkeep: bool = True,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> AsyncIterator[UserMemory]:
    """Open a user's memories for as long as the context lasts; no server is needed.

    The file may be a running router's: both see at once what the other writes.

    Args:
        target: An SQLite file, which is made where there is none; a router's configuration, by a name that ends in
            ``.yaml`` or ``.yml``; or settings.
        user: Whose memories; ``UserMemory.of`` gives those of others.
        project: Which of the user's projects.
        env: Environment variables that a configuration names, such as ``os.environ``.
        upkeep: Whether memories are pruned and merged now and then while this is open, as configured.
        clock: Tells the time; None for this machine's.
        rng: Makes ids; None for an unpredictable one.

    Raises:
        ConfigError: The configuration cannot be used, or has memory switched off.
        StoreError: The memories cannot be opened.
        InvalidRequest: ``user`` or ``project`` cannot name anybody.
    """
    scope = Scope(user, project)
    settings = target if isinstance(target, Settings) else await asyncio.to_thread(_settings, Path(target), env)
    runtime = await Runtime.open(settings, env=env, clock=clock or SystemClock(), rng=rng or random.Random())
    try:
        memory = UserMemory(runtime, scope)
        if upkeep:
            runtime.start_upkeep()
        yield memory
    finally:
        await runtime.aclose()


def _settings(path: Path, env: Mapping[str, str]) -> Settings:
    if path.suffix.lower() in CONFIG_SUFFIXES:
        return load_settings(path, env=env).settings
    store: dict[str, Any] = {"backend": "sqlite", "sqlite": {"path": str(path)}}
    return load_settings(None, env=env, overrides={"global": {"stores": {"memory": store}}}).settings

"""The whole walk: configuration, embedder, store, cache, upstreams."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from memrouter.clock import Clock
from memrouter.config.load import load_settings
from memrouter.config.memory import MemorySettings
from memrouter.config.settings import Settings
from memrouter.doctor.embedder import look_at_embedder
from memrouter.doctor.findings import broken, ok, warning
from memrouter.doctor.hot_cache import examine_hot_cache
from memrouter.doctor.identity import identity_findings
from memrouter.doctor.migration import dimension_findings, of_target
from memrouter.doctor.milvus import examine_milvus
from memrouter.doctor.query_rewrite import query_rewrite_findings
from memrouter.doctor.reach import Report
from memrouter.doctor.reranker import reranker_findings
from memrouter.doctor.sqlite import sqlite_findings
from memrouter.doctor.upstreams import upstream_findings
from memrouter.doctor.valkey import ValkeyExamination
from memrouter.embeddings.base import EmbedderInfo
from memrouter.errors import ConfigError
from memrouter.router.builtin.memory_policies import any_enabled


async def examine(config: Path | None, *, env: Mapping[str, str], clock: Clock, report: Report) -> None:
    """Look at everything that a router with this configuration needs; never stops at the first finding.

    Args:
        config: The configuration file; None for the defaults.
        env: Environment variables.
        clock: Tells the time.
        report: Takes the findings, in order, as they are found.
    """
    settings = await _configuration(config, env=env, report=report)
    if settings is not None:
        await examine_settings(settings, env=env, clock=clock, report=report)


async def examine_settings(settings: Settings, *, env: Mapping[str, str], clock: Clock, report: Report) -> None:
    """Look at everything that a router with these settings needs; the arguments are those of ``examine``."""
    for finding in await identity_findings(settings, clock=clock):
        report(finding)
    memory = settings.memory
    if not any_enabled(memory, settings.routing.decisions):
        report(ok("memory", "switched off in every route; store and cache are not looked at"))
    else:
        await _memory(settings, env=env, clock=clock, report=report)
    for finding in await upstream_findings(settings, env=env):
        report(finding)


async def _configuration(config: Path | None, *, env: Mapping[str, str], report: Report) -> Settings | None:
    try:
        loaded = await asyncio.to_thread(load_settings, config, env=env)
    except ConfigError as error:
        for problem in error.problems:
            report(
                broken(
                    "configuration",
                    str(problem),
                    why="the router does not start with it; without it nothing else could be looked at",
                    fix=problem.hint or f"correct {problem.key or problem.file}; see: memrouter config schema",
                )
            )
        return None
    report(ok("configuration", f"{config} is valid" if config else "none given: the defaults are used"))
    for sentence in loaded.warnings:
        report(
            warning(
                "configuration",
                sentence,
                why="what they ask for does not happen",
                fix="remove them, or keep the file for both routers and leave it at that",
            )
        )
    return loaded.settings


async def _memory(settings: Settings, *, env: Mapping[str, str], clock: Clock, report: Report) -> None:
    memory = settings.memory
    look = await look_at_embedder(memory, env=env)
    report(look.finding)
    await _store(memory, look.info, clock=clock, report=report)
    target = memory.migration_target
    if target is not None:
        for finding in dimension_findings(target, look.info):
            report(finding)
        await _store(target, look.info, clock=clock, report=lambda found: report(of_target(found, target)))
    if memory.redis_cache.enabled:
        await examine_hot_cache(memory.redis_cache, report=report, clock=clock)
    for finding in await reranker_findings(memory.reranker, env=env):
        report(finding)
    for finding in await query_rewrite_findings(settings, env=env, clock=clock):
        report(finding)


async def _store(memory: MemorySettings, embedder: EmbedderInfo | None, *, clock: Clock, report: Report) -> None:
    match memory.effective_backend:
        case "sqlite":
            for finding in await sqlite_findings(memory.sqlite, embedder, clock=clock):
                report(finding)
        case "valkey":
            await ValkeyExamination(memory, embedder, report=report, clock=clock).run()
        case "milvus":
            await examine_milvus(memory, embedder, report=report)

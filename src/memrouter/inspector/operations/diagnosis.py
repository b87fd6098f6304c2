"""The doctor's examination of the running configuration, when an operator asks for it."""

import asyncio
from collections.abc import Mapping
from typing import Final

from memrouter.clock import Clock
from memrouter.config.settings import Settings
from memrouter.doctor.examination import examine_settings
from memrouter.doctor.findings import Finding, warning

MOST_SECONDS: Final = 90.0
"""Longest examination; what was found until then is shown."""


async def diagnose(
    settings: Settings, *, env: Mapping[str, str], clock: Clock, seconds: float = MOST_SECONDS
) -> tuple[Finding, ...]:
    """Return what the doctor finds, in the order of its walk.

    Args:
        settings: Of the running router.
        env: Environment variables.
        clock: Tells the time.
        seconds: Longest that it may take.
    """
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(seconds):
            await examine_settings(settings, env=env, clock=clock, report=findings.append)
    except TimeoutError:
        findings.append(
            warning(
                "examination",
                f"not finished within {seconds:g} s",
                why="what comes behind the last finding was not looked at",
                fix="run: memrouter doctor --config FILE",
            )
        )
    return tuple(findings)

"""Readiness is found by trying, briefly remembered, and never hangs."""

import asyncio

import pytest

from memrouter.api.readiness import Check, CheckResult, Readiness, overall
from memrouter.errors import StoreUnavailable
from memrouter.testing.clock import ManualClock


class Part:
    """A part that a test breaks and mends."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def hang() -> None:
    await asyncio.Event().wait()


async def test_every_part_is_reported_by_its_name() -> None:
    checks = [
        Check("store", Part().probe),
        Check("cache", Part(StoreUnavailable("refused")).probe, required=False),
        Check("embedder", Part(RuntimeError("some text")).probe),
    ]
    results = await Readiness(checks, clock=ManualClock()).results()
    assert results == {
        "store": CheckResult("ok"),
        "cache": CheckResult("degraded", "refused"),
        "embedder": CheckResult("failed", "unexpected RuntimeError"),
    }


@pytest.mark.parametrize(("required", "status"), [(True, "failed"), (False, "degraded")])
async def test_a_part_that_hangs_has_failed(required: bool, status: str) -> None:
    readiness = Readiness([Check("slow", hang, required=required)], clock=ManualClock(), timeout=0.01)
    result = (await readiness.results())["slow"]
    assert result.status == status
    assert result.detail == "no answer within 0.01 s"


async def test_results_are_kept_for_a_second() -> None:
    clock, part = ManualClock(), Part()
    readiness = Readiness([Check("part", part.probe)], clock=clock)
    await readiness.results()
    part.error = StoreUnavailable("gone")
    clock.ms += 999
    assert (await readiness.results())["part"].status == "ok"
    clock.ms += 1
    assert (await readiness.results())["part"].status == "failed"
    assert part.probes == 2


async def test_requests_at_the_same_time_share_one_probe() -> None:
    part = Part()
    readiness = Readiness([Check("part", part.probe)], clock=ManualClock())
    await asyncio.gather(*(readiness.results() for _ in range(20)))
    assert part.probes == 1


def test_the_worst_part_decides() -> None:
    ok, degraded, failed = CheckResult("ok"), CheckResult("degraded"), CheckResult("failed")
    assert overall({}) == "ok"
    assert overall({"a": ok, "b": degraded}) == "degraded"
    assert overall({"a": failed, "b": degraded, "c": ok}) == "failed"

"""Whether this process can serve, found out by trying its parts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from memrouter.clock import Clock
from memrouter.errors import MemrouterError

CHECK_TIMEOUT_SECONDS: Final = 2.0
CACHE_SECONDS: Final = 1.0

Status = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the router that can be tried.

    Attributes:
        name: Of the part, such as ``memory_store``.
        probe: Returns when the part works and raises when it does not.
        required: Whether the router cannot serve without it; else its failure only degrades.
    """

    name: str
    probe: Callable[[], Awaitable[None]]
    required: bool = True


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a check went: ``degraded`` where the part failed but is not required; ``detail`` says why, else empty."""

    status: Status
    detail: str = ""


class Readiness:
    """Runs the checks, all at once, and keeps what they found for a second.

    Requests that come while the checks run wait for the same result.

    Args:
        checks: With distinct names.
        clock: Ages the results.
        timeout: Seconds after which a check has failed.
    """

    def __init__(self, checks: Sequence[Check], *, clock: Clock, timeout: float = CHECK_TIMEOUT_SECONDS) -> None:
        self._checks = tuple(checks)
        self._clock = clock
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._results: dict[str, CheckResult] = {}
        self._found_at: float | None = None

    async def results(self) -> dict[str, CheckResult]:
        """Return the result of every check by its name."""
        async with self._lock:
            if self._found_at is None or self._clock.monotonic() - self._found_at >= CACHE_SECONDS:
                found = await asyncio.gather(*(self._run(check) for check in self._checks))
                self._results = dict(zip((check.name for check in self._checks), found, strict=True))
                self._found_at = self._clock.monotonic()
            return self._results

    async def _run(self, check: Check) -> CheckResult:
        failed: Status = "failed" if check.required else "degraded"
        try:
            async with asyncio.timeout(self._timeout):
                await check.probe()
        except TimeoutError:
            return CheckResult(failed, f"no answer within {self._timeout:g} s")
        except MemrouterError as error:
            return CheckResult(failed, str(error))
        except Exception as error:  # noqa: BLE001 - whatever breaks a part, the others must still be reported
            return CheckResult(failed, f"unexpected {type(error).__name__}")
        return CheckResult("ok")


def overall(results: dict[str, CheckResult]) -> Status:
    """Return the worst status among the results; ``ok`` where there are none."""
    found = {result.status for result in results.values()}
    if "failed" in found:
        return "failed"
    return "degraded" if "degraded" in found else "ok"

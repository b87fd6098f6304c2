"""What all pages of operators share."""

import os
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from starlette.responses import HTMLResponse, Response

from memrouter import __version__
from memrouter.api.app import readiness_checks
from memrouter.api.readiness import Readiness
from memrouter.config.show import settings_yaml
from memrouter.doctor.findings import Finding
from memrouter.errors import MemrouterError, NotFound
from memrouter.inspector.operations.diagnosis import MOST_SECONDS as MOST_DIAGNOSIS_SECONDS
from memrouter.inspector.operations.inquiry import Inquiry
from memrouter.inspector.operations.looks import Looks
from memrouter.inspector.operations.trials import MOST_SECONDS as MOST_TRIAL_SECONDS
from memrouter.inspector.operations.trials import MergeTrial, PruneTrial
from memrouter.inspector.visit import Desk, Visit
from memrouter.memory.service import MemoryService
from memrouter.stores.base import MemoryStore

T = TypeVar("T")

ROOM: Final = "/ui/operations"
COUNT_SECONDS: Final = 60.0
"""Longest that counting all memories may take."""
SOON_SECONDS: Final = 2.0
"""What ends as soon as that is shown by the answer to the form; a router's other processes do not know of it."""

_TABS: Final = (
    ("", "Overview"),
    ("/statuses", "Over time"),
    ("/store", "Store"),
    ("/routes", "Routes"),
    ("/jobs", "Queue and jobs"),
    ("/doctor", "Doctor"),
    ("/retention", "Dry runs"),
    ("/users", "Users"),
    ("/looks", "Looks"),
    ("/configuration", "Configuration"),
)


class Office:
    """What operators see and do through one listener.

    Args:
        desk: What all pages of the inspector share.

    Attributes:
        desk: As given.
        readiness: Tries every part of the router.
        doctor: Examinations.
        pruning: Dry runs of it.
        consolidation: Dry runs of it.
        counting: Counts of all memories.
        looks: Looks at memories of others; None where memory is off.
    """

    def __init__(self, desk: Desk) -> None:
        runtime = desk.runtime
        clock = runtime.clock
        self.desk = desk
        self.readiness = Readiness(readiness_checks(runtime, desk.access), clock=clock)
        self.doctor: Inquiry[tuple[Finding, ...]] = Inquiry(clock=clock, seconds=MOST_DIAGNOSIS_SECONDS + 5)
        self.pruning: Inquiry[PruneTrial] = Inquiry(clock=clock, seconds=2 * MOST_TRIAL_SECONDS)
        self.consolidation: Inquiry[MergeTrial] = Inquiry(clock=clock, seconds=2 * MOST_TRIAL_SECONDS)
        self.counting: Inquiry[int] = Inquiry(clock=clock, seconds=COUNT_SECONDS)
        self.looks = None if runtime.state is None else Looks(runtime.state, clock=clock, rng=runtime.rng)
        self._configuration: str | None = None
        runtime.on_close(self.aclose)

    @property
    def store(self) -> MemoryStore:
        """Return the memory store.

        Raises:
            NotFound: Memory is off.
        """
        if self.desk.runtime.store is None:
            raise _no_memory()
        return self.desk.runtime.store

    @property
    def memory(self) -> MemoryService:
        """Return the memory service.

        Raises:
            NotFound: Memory is off.
        """
        if self.desk.runtime.memory is None:
            raise _no_memory()
        return self.desk.runtime.memory

    def configuration(self) -> str:
        """Return the configuration as YAML without secrets; takes some milliseconds the first time."""
        if self._configuration is None:
            self._configuration = settings_yaml(self.desk.runtime.settings)
        return self._configuration

    async def render(self, visit: Visit, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page of operators: what each of them shows, and ``values``."""
        tabs = [(f"{ROOM}{path}", title) for path, title in _TABS]
        shared = {"tabs": tabs, "version": __version__, "pid": os.getpid()}
        return await visit.render(f"operations/{template}", status=status, **shared, **values)

    async def aclose(self) -> None:
        """End what is under way."""
        for inquiry in (self.doctor, self.pruning, self.consolidation, self.counting):
            await inquiry.aclose()


OfficeHandler = Callable[[Office, Visit], Awaitable[Response]]
"""Answers a visit to a page of operators."""


async def attempted(work: Awaitable[T]) -> tuple[T | None, str]:
    """Return what ``work`` gives and an empty text, or None and why it failed; for one part of a page."""
    try:
        return await work, ""
    except MemrouterError as error:
        return None, str(error)


def _no_memory() -> NotFound:
    return NotFound("memory is switched off in every route of this router", code="memory_disabled")

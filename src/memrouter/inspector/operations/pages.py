"""All pages of operators."""

import asyncio
from functools import partial

from starlette.responses import Response

from memrouter.inspector.operations.chart import SIZE
from memrouter.inspector.operations.counters import Counters
from memrouter.inspector.operations.diagnosis import diagnose
from memrouter.inspector.operations.history import SPANS, charts, slots_of, span_named
from memrouter.inspector.operations.office import ROOM, SOON_SECONDS, Office, OfficeHandler, attempted
from memrouter.inspector.operations.overview import show_overview
from memrouter.inspector.operations.retention_pages import begin_trial, show_trials
from memrouter.inspector.operations.route_pages import show_routes, try_route
from memrouter.inspector.operations.schedule_state import task_states
from memrouter.inspector.operations.store_state import look_at_store
from memrouter.inspector.operations.user_pages import look_at_user, show_looks, show_user_form
from memrouter.inspector.visit import Desk, Page, Visit
from memrouter.models.turn import Permission


def operations_pages(desk: Desk) -> list[Page]:
    """Return the pages; all of them need the permission of an operator."""
    office = Office(desk)

    def page(path: str, handler: OfficeHandler, method: str = "GET") -> Page:
        return Page(f"{ROOM}{path}", partial(handler, office), method, Permission.OPERATOR)

    return [
        page("", show_overview),
        page("/statuses", show_statuses),
        page("/store", show_store),
        page("/store", count_memories, "POST"),
        page("/routes", show_routes),
        page("/routes", try_route, "POST"),
        page("/jobs", show_jobs),
        page("/doctor", show_doctor),
        page("/doctor", run_doctor, "POST"),
        page("/retention", show_trials),
        page("/retention", begin_trial, "POST"),
        page("/users", show_user_form),
        page("/users", look_at_user, "POST"),
        page("/looks", show_looks),
        page("/configuration", show_configuration),
    ]


async def show_statuses(office: Office, visit: Visit) -> Response:
    """Answer with charts of this process over time."""
    span = span_named(visit.asked("span"))
    slots = slots_of(await office.desk.runtime.timeline.stretches(), span)
    return await office.render(
        visit, "statuses.html", charts=await asyncio.to_thread(charts, slots), size=SIZE, span=span, spans=SPANS
    )


async def show_store(office: Office, visit: Visit) -> Response:
    """Answer with what the store and its index are like."""
    runtime, store = office.desk.runtime, office.store
    memory = runtime.settings.memory
    state, problem = await attempted(look_at_store(memory, store.capabilities))
    counters = Counters(await asyncio.to_thread(lambda: list(runtime.metrics.collect())))
    return await office.render(
        visit,
        "store.html",
        state=state,
        problem=problem,
        capabilities=store.capabilities,
        memory=memory,
        migration=None if runtime.migration is None else runtime.migration.status,
        counting=office.counting,
        cache_searches=counters.by("cache_searches_total", "outcome"),
        cache_operations=counters.by("cache_operations_total", "outcome"),
        operations=counters.by("store_operations_total", "operation"),
        outcomes=counters.by("store_operations_total", "outcome"),
        counters=counters,
    )


async def count_memories(office: Office, visit: Visit) -> Response:
    """Begin to count all memories."""
    store = office.store
    office.counting.begin(lambda: store.count(None))
    if await office.counting.settles(within=SOON_SECONDS):
        return await show_store(office, visit)
    return visit.to(f"{ROOM}/store")


async def show_jobs(office: Office, visit: Visit) -> Response:
    """Answer with what waits, what was lost, and when upkeep runs."""
    runtime = office.desk.runtime
    memory, tasks, problem = runtime.settings.memory, None, ""
    if runtime.state is not None:
        tasks, problem = await attempted(task_states(runtime.state, memory, now=runtime.clock.now_ms()))
    counters = Counters(await asyncio.to_thread(lambda: list(runtime.metrics.collect())))
    return await office.render(
        visit,
        "jobs.html",
        counters=counters,
        skipped=counters.by("turns_skipped_total", "reason"),
        refused=counters.by("memory_writes_dropped_total", "reason"),
        pruned=counters.by("memories_pruned_total", "rule"),
        runs=counters.upkeep(["prune", "consolidate"]),
        tasks=tasks or (),
        problem=problem,
        limits=memory.limits,
        extracts=runtime.settings.extraction_model is not None,
    )


async def show_doctor(office: Office, visit: Visit) -> Response:
    """Answer with what the last examination found; examines nothing."""
    return await office.render(visit, "doctor.html", doctor=office.doctor)


async def run_doctor(office: Office, visit: Visit) -> Response:
    """Begin an examination, where none is under way."""
    runtime = office.desk.runtime
    office.doctor.begin(lambda: diagnose(runtime.settings, env=runtime.env, clock=runtime.clock))
    if await office.doctor.settles(within=SOON_SECONDS):
        return await show_doctor(office, visit)
    return visit.to(f"{ROOM}/doctor")


async def show_configuration(office: Office, visit: Visit) -> Response:
    """Answer with the whole configuration, secrets hidden."""
    text = await asyncio.to_thread(office.configuration)
    return await office.render(visit, "configuration.html", configuration=text)

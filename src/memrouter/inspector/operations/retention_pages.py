"""Dry runs of pruning and consolidation, as pages."""

from starlette.responses import Response

from memrouter.errors import InvalidRequest, NotFound
from memrouter.inspector.operations.office import ROOM, SOON_SECONDS, Office
from memrouter.inspector.operations.trials import MOST_LISTED, MOST_SECONDS, TrialPace, try_consolidation, try_pruning
from memrouter.inspector.visit import Visit
from memrouter.memory.upkeep.retention import Rule
from memrouter.models.memory import check_identity


async def show_trials(office: Office, visit: Visit, *, problem: str = "", said: str = "") -> Response:
    """Answer with the form and with what the last dry runs would have done."""
    memory = office.desk.runtime.settings.memory
    return await office.render(
        visit,
        "retention.html",
        status=400 if problem else 200,
        pruning=office.pruning,
        consolidation=office.consolidation,
        rules=tuple(Rule),
        memory=memory,
        most_listed=MOST_LISTED,
        most_seconds=MOST_SECONDS,
        problem=problem,
        said=said,
    )


async def begin_trial(office: Office, visit: Visit) -> Response:
    """Begin a dry run for one user or everybody, where none of its kind is under way.

    Raises:
        NotFound: Memory is off.
        InvalidRequest: No such dry run is known.
    """
    runtime = office.desk.runtime
    upkeep, kind, named = runtime.upkeep, visit.form.get("kind", ""), visit.form.get("user", "")
    if upkeep is None:
        raise NotFound("memory is switched off in every route of this router", code="memory_disabled")
    try:
        user_id = check_identity(named, param="user") if named else None
    except InvalidRequest as error:
        return await show_trials(office, visit, problem=str(error), said=named)
    pace = TrialPace(clock=runtime.clock, seconds=MOST_SECONDS, busy=lambda: runtime.traffic.busy)
    match kind:
        case "prune":
            office.pruning.begin(lambda: try_pruning(upkeep, pace, user_id=user_id))
            settled = await office.pruning.settles(within=SOON_SECONDS)
        case "consolidate":
            office.consolidation.begin(lambda: try_consolidation(upkeep, pace, user_id=user_id))
            settled = await office.consolidation.settles(within=SOON_SECONDS)
        case _:
            raise InvalidRequest("choose a dry run of pruning or of consolidation", param="kind")
    return await show_trials(office, visit, said=named) if settled else visit.to(f"{ROOM}/retention")

"""The routes, and which of them a message would take."""

from dataclasses import dataclass, field

import msgspec
from starlette.responses import Response

from memrouter.errors import InvalidRequest, MemrouterError
from memrouter.inspector.operations.office import Office
from memrouter.inspector.operations.route_table import RouteView, route_table
from memrouter.inspector.visit import Visit
from memrouter.memory.turns.gate import worth_searching
from memrouter.models.chat import ChatDraft, ChatRequest
from memrouter.models.memory import check_identity
from memrouter.models.turn import Identity, Turn

MOST_MESSAGE_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Trial:
    """Which way a message would take.

    Attributes:
        route: The decision's name; empty where none matches.
        signals: ``kind:name`` of those that were asked for and matched.
        models: Who may answer, with the share of each in percent.
        memory: What memory would do.
        ignored: Why memory would not search for this message; empty where it would.
    """

    route: str
    signals: tuple[str, ...]
    models: tuple[tuple[str, float], ...]
    memory: str
    ignored: str


@dataclass(frozen=True, slots=True)
class Question:
    """What the form was given.

    Attributes:
        message: The user's message.
        model: Model that the client names.
        user: Who asks; empty for nobody.
        groups: Of the user, separated by commas.
    """

    message: str = ""
    model: str = ""
    user: str = ""
    groups: str = ""

    def turn(self) -> Turn:
        """Return the request that a client would send.

        Raises:
            InvalidRequest: No client could.
        """
        if not 0 < len(self.message) <= MOST_MESSAGE_CHARS:
            raise InvalidRequest(f"write a message of 1 to {MOST_MESSAGE_CHARS} characters", param="message")
        user = check_identity(self.user, param="user") if self.user else None
        groups = tuple(name.strip() for name in self.groups.split(",") if name.strip())
        body = {"model": self.model, "messages": [{"role": "user", "content": self.message}]}
        request = ChatRequest.parse(msgspec.json.encode(body))
        return Turn(
            request=request,
            identity=Identity(user, groups=groups),
            headers={},
            request_id="",
            path="/v1/chat/completions",
            draft=ChatDraft(request),
        )


@dataclass(frozen=True, slots=True)
class _Shown:
    """What stands in the form's place."""

    question: Question = field(default_factory=Question)
    trial: Trial | None = None
    problem: str = ""


async def show_routes(office: Office, visit: Visit) -> Response:
    """Answer with the routes and the form."""
    return await _page(office, visit, _Shown())


async def try_route(office: Office, visit: Visit) -> Response:
    """Answer with the routes and which of them the message of the form would take; nothing is sent or stored."""
    form = visit.form
    question = Question(*(form.get(name, "") for name in ("message", "model", "user", "groups")))
    try:
        trial = await _tried(office, question)
    except MemrouterError as error:
        return await _page(office, visit, _Shown(question, problem=str(error)), status=400)
    return await _page(office, visit, _Shown(question, trial))


async def _tried(office: Office, question: Question) -> Trial:
    runtime = office.desk.runtime
    turn = question.turn()
    chosen = runtime.catalog.choose(question.model, None, runtime.rng)
    decision, signals = await runtime.pipeline.preview(turn)
    name = "" if decision is None else decision.name
    view = next(view for view in _table(office) if view.name == name)
    named = runtime.catalog.is_automatic(question.model)
    models = tuple(view.models) if named and view.models else ((chosen.name, 100.0),)
    disabled = {question.model, *(model for model, _ in models)} & set(runtime.settings.memory.disabled_models)
    memory = "off: the model is listed in disabled_models" if disabled else view.memory
    return Trial(name, tuple(signals), models, memory, worth_searching(turn.request) or "")


async def _page(office: Office, visit: Visit, shown: _Shown, *, status: int = 200) -> Response:
    return await office.render(
        visit,
        "routes.html",
        status=status,
        routes=_table(office),
        models=office.desk.runtime.catalog.names(),
        memory=office.desk.runtime.settings.memory,
        question=shown.question,
        trial=shown.trial,
        problem=shown.problem,
    )


def _table(office: Office) -> list[RouteView]:
    runtime = office.desk.runtime
    return route_table(runtime.settings, default_threshold=runtime.default_threshold)

"""Signing in and out, and the colours of the pages: what is open to everybody."""

from typing import Final
from urllib.parse import urlsplit

from starlette.responses import Response

from memrouter.errors import RequestError, Unauthenticated
from memrouter.inspector.identification import ROOM, identified, set_session
from memrouter.inspector.session import Session
from memrouter.inspector.visit import HOME, THEME_COOKIE, THEMES, Page, Visit
from memrouter.models.memory import check_identity
from memrouter.models.turn import Permission

SIGN_IN: Final = "/ui/sign-in"
_YEAR_SECONDS: Final = 365 * 86_400
_OPERATIONS: Final = "/ui/operations"


def sign_in_pages() -> list[Page]:
    """Return the pages."""
    return [
        Page("/ui", _enter, permission=None),
        Page("/ui/", _enter, permission=None),
        Page(SIGN_IN, _show, permission=None),
        Page(SIGN_IN, _sign_in, method="POST", permission=None),
        Page("/ui/sign-out", _sign_out, method="POST", permission=None),
        Page("/ui/theme", _choose_theme, method="POST", permission=None),
    ]


async def sign_in_response(visit: Visit, error: Unauthenticated) -> Response:
    """Return the sign-in page for a visit that lacks a user; its way back is the page that was asked for."""
    asked = visit.request.url
    back = f"{asked.path}?{asked.query}" if asked.query else asked.path
    refused = str(error) if visit.session.says_somebody else ""
    return await _form(visit, back=back if visit.request.method == "GET" else HOME, problem=refused, status=401)


def local_path(text: str) -> str:
    """Return an address within these pages: ``text`` where it is one, else the first page."""
    parts = urlsplit(text)
    inside = not parts.scheme and not parts.netloc and (parts.path == ROOM or parts.path.startswith(f"{ROOM}/"))
    return text if inside and "\\" not in text and text.isprintable() else HOME


async def _enter(visit: Visit) -> Response:
    return visit.to(HOME)


async def _show(visit: Visit) -> Response:
    return await _form(visit, back=local_path(visit.asked("back", HOME)))


async def _form(visit: Visit, *, back: str, problem: str = "", status: int = 200) -> Response:
    auth = visit.desk.runtime.settings.global_.auth
    by_name = visit.desk.door.believes_names(visit.request)
    return await visit.render(
        "sign_in.html",
        status=status,
        mode=auth.mode,
        user_header=auth.user_header,
        can_sign_in=auth.mode != "trusted_header" or by_name,
        operator_groups=bool(auth.operator_groups),
        next=back,
        problem=problem,
        said={name: visit.form.get(name, "") for name in ("user", "project", "groups")},
    )


async def _sign_in(visit: Visit) -> Response:
    """Try what the form says as if it stood in the headers of a request, and keep it in a new session."""
    back = local_path(visit.form.get("next", HOME))
    try:
        session = _said(visit)
        session.cookie()
        visit.identity = await identified(visit, session)
        if visit.identity.scope is None and Permission.OPERATOR not in visit.identity.permissions:
            raise visit.desk.access.nobody()
    except RequestError as error:
        return await _form(visit, back=back, problem=str(error), status=400)
    response = visit.to(back if visit.identity.scope is not None else _OPERATIONS)
    set_session(response, session, visit.request)
    return response


def _said(visit: Visit) -> Session:
    """Return a new session, with a secret of its own, for what the form says.

    Raises:
        InvalidRequest: A name cannot be one.
    """
    names = {name: visit.form.get(name, "").strip() for name in ("user", "project", "groups")}
    for name, value in names.items():
        if value:
            check_identity(value, param=name)
    return Session(Session.begin(visit.desk.runtime.rng).secret, visit.form.get("key", "").strip(), **names)


async def _sign_out(visit: Visit) -> Response:
    response = visit.to(SIGN_IN, notice="signed_out")
    set_session(response, Session.begin(visit.desk.runtime.rng), visit.request)
    return response


async def _choose_theme(visit: Visit) -> Response:
    theme = visit.form.get("theme", "")
    response = visit.to(local_path(visit.form.get("back", HOME)))
    response.set_cookie(
        THEME_COOKIE,
        theme if theme in THEMES else THEMES[0],
        max_age=_YEAR_SECONDS,
        path=ROOM,
        httponly=True,
        samesite="strict",
    )
    return response

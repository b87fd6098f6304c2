"""Who a visit is from, and what the browser keeps of that."""

from dataclasses import replace

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from memrouter.inspector.security import is_secure
from memrouter.inspector.session import COOKIE, Session, said_by_proxy
from memrouter.inspector.visit import Visit
from memrouter.models.turn import Identity, Permission

ROOM = "/ui"


async def identified(visit: Visit, session: Session | None = None) -> Identity:
    """Return who is calling, by the headers of the request and by what the browser's session stands for.

    Args:
        visit: The request.
        session: What counts in place of the visit's own session.

    Raises:
        MemrouterError: As for ``Access.identify``.
    """
    request, desk = visit.request, visit.desk
    auth = desk.runtime.settings.global_.auth
    names = desk.door.believes_names(request)
    said = session or visit.session
    headers = said.headers_for(request.scope["headers"], auth, names=names)
    identity = await desk.access.identify(HTTPConnection({**request.scope, "headers": headers}))
    by_name = bool(said.user) and not said_by_proxy(request.scope["headers"], auth)
    if by_name and desk.door.makes_operators(request):
        return replace(identity, permissions=identity.permissions | {Permission.OPERATOR})
    return identity


def set_session(response: Response, session: Session, request: Request) -> None:
    """Have the browser keep a session until it is closed.

    Raises:
        InvalidRequest: What it holds cannot be kept.
    """
    response.set_cookie(
        COOKIE, session.cookie(), path=ROOM, httponly=True, samesite="strict", secure=is_secure(request)
    )

"""One user as operators may see one: figures, and, where that is allowed and written down, memories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from memrouter.errors import Forbidden, InvalidRequest, StoreError
from memrouter.inspector.operations.looks import (
    LEAST_REASON_CHARS,
    MOST_REASON_CHARS,
    NotWritten,
    check_reason,
)
from memrouter.inspector.operations.office import Office, attempted
from memrouter.inspector.visit import Visit
from memrouter.models.memory import MemoryRecord, Scope, check_identity, owner_key
from memrouter.stores.query import Page, ScopeStats

PAGE: Final = 25
"""Memories of one look."""


@dataclass(frozen=True, slots=True)
class UserFigures:
    """How much is kept of a user, in all projects.

    Attributes:
        owner: Owner key.
        kept: How many memories, superseded and expired ones too.
        stats: Of the visible ones.
    """

    owner: str
    kept: int
    stats: ScopeStats


@dataclass(frozen=True, slots=True)
class Seen:
    """The memories of one look.

    Attributes:
        records: Newest first.
        total: How many there are.
        cursor: For the next look; empty on the last page.
    """

    records: Sequence[MemoryRecord]
    total: int
    cursor: str


async def show_user_form(office: Office, visit: Visit) -> Response:
    """Answer with the form that asks for a user."""
    return await _page(office, visit)


async def look_at_user(office: Office, visit: Visit) -> Response:
    """Answer with figures of the user that the form names, and with memories where they were asked for."""
    named = visit.form.get("user", "")
    try:
        user_id = check_identity(named, param="user")
        seen = await _look(office, visit, user_id) if visit.form.get("look") else None
        figures = await _figures(office, user_id)
    except (InvalidRequest, Forbidden) as error:
        return await _page(office, visit, status=403 if isinstance(error, Forbidden) else 400, problem=str(error))
    except (StoreError, NotWritten) as error:
        return await _page(office, visit, status=503, problem=str(error))
    return await _page(office, visit, figures=figures, seen=seen)


async def show_looks(office: Office, visit: Visit) -> Response:
    """Answer with the last looks of all operators."""
    looks, problem = None, ""
    if office.looks is not None:
        looks, problem = await attempted(office.looks.recent())
    return await office.render(visit, "looks.html", looks=looks or (), problem=problem, allowed=_allowed(office))


async def _figures(office: Office, user_id: str) -> UserFigures:
    stats = await office.memory.stats(Scope(user_id, None))
    return UserFigures(owner_key(user_id), await office.store.count(user_id), stats)


async def _look(office: Office, visit: Visit, user_id: str) -> Seen:
    """Return memories once the look is written down.

    Raises:
        Forbidden: Operators may not read here, or nobody is named as the one who does.
        InvalidRequest: The reason does not do.
        NotWritten: The look could not be written down.
        StoreUnavailable: It could not be written down, or the memories not be read.
    """
    if not _allowed(office) or office.looks is None:
        raise Forbidden("operators may not read memories here; global.inspector.operators_may_read allows it")
    reason = check_reason(visit.form.get("reason", ""))
    page: Page = await office.memory.list(
        Scope(user_id, None),
        limit=PAGE,
        cursor=visit.form.get("cursor") or None,
        include_superseded=True,
        quarantined=visit.form.get("state") == "quarantined",
    )
    await office.looks.write(
        operator=visit.identity, user_id=user_id, ids=[record.id for record in page.records], reason=reason
    )
    return Seen(page.records, page.total, page.next.encode() if page.next else "")


async def _page(
    office: Office,
    visit: Visit,
    *,
    status: int = 200,
    problem: str = "",
    figures: UserFigures | None = None,
    seen: Seen | None = None,
) -> Response:
    return await office.render(
        visit,
        "users.html",
        status=status,
        allowed=_allowed(office),
        problem=problem,
        figures=figures,
        seen=seen,
        said={name: visit.form.get(name, "") for name in ("user", "reason", "state")},
        reason_chars=(LEAST_REASON_CHARS, MOST_REASON_CHARS),
    )


def _allowed(office: Office) -> bool:
    return office.desk.settings.operators_may_read

"""What all routes of a user's own memories share: whose they are, what may be asked, and what can go wrong."""

from typing import Any, Final

from starlette.requests import Request

from memrouter.api.caller import Access, memory_off
from memrouter.api.errors import CALLER_ERRORS, ErrorBody
from memrouter.errors import InvalidRequest
from memrouter.memory.service import MemoryService
from memrouter.models.memory import MAX_ID_CHARS, Scope

MEMORY_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorBody, "description": "A field is wrong; `param` names it"},
    **CALLER_ERRORS,
    404: {"model": ErrorBody, "description": "Absent, someone else's, or memory is switched off"},
    503: {"model": ErrorBody, "description": "The memory store or the embedder cannot serve now"},
    "default": {"model": ErrorBody, "description": "Any other error"},
}
"""For ``responses`` of a router."""


class OwnMemories:
    """The memories of whoever is calling.

    Args:
        service: None where memory is switched off.
        access: Says whose memories are meant.
    """

    def __init__(self, service: MemoryService | None, access: Access) -> None:
        self._service = service
        self._access = access

    async def open(self, request: Request) -> tuple[MemoryService, Scope]:
        """Return the service and whose memories are meant.

        Raises:
            Unauthenticated: Nobody says who is calling, or not in a way that is believed.
            NotFound: Memory is switched off.
        """
        scope = await self._access.own_scope(request)
        if self._service is None:
            raise memory_off()
        return self._service, scope


async def refuse_query(request: Request) -> None:
    """Refuse query parameters on a route that has none; somebody may expect ``user_id`` to mean something."""
    for name in request.query_params:
        param = name[:MAX_ID_CHARS]
        raise InvalidRequest(f"{param}: unknown query parameter; remove it", code="unknown_field", param=param)


def checked_id(memory_id: str) -> str:
    """Return an id as it stands in the path.

    Raises:
        InvalidRequest: No memory can have one so long.
    """
    if len(memory_id) > MAX_ID_CHARS:
        raise InvalidRequest(f"a memory id has at most {MAX_ID_CHARS} characters", param="id")
    return memory_id

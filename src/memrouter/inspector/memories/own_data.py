"""A person's data as a whole: take it along, bring it in, have it forgotten."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.responses import Response

from memrouter.api.caller import memory_off
from memrouter.api.memory_transfer import ExportParams, ImportParams, exported, imported
from memrouter.api.memory_views import ReceiptView
from memrouter.config.memory import MemoryLimits
from memrouter.errors import InvalidRequest, RequestError
from memrouter.inspector.memories.listing import conversation_of, one_of
from memrouter.inspector.memories.looking import choices
from memrouter.inspector.visit import Page, Visit
from memrouter.models.memory import MemoryType
from memrouter.stores.query import ALL_TYPES, MergeMode
from memrouter.transfer.own import OwnTransfer

DATA: Final = "/ui/data"
_FORGET: Final = f"{DATA}/forget"
_READ_BYTES: Final = 65_536
_OVERHEAD_BYTES: Final = 16_384
"""What a form with a file may be larger than the file."""


def own_data_pages(limits: MemoryLimits) -> list[Page]:
    """Return the pages."""
    return [
        Page(DATA, _overview),
        Page(f"{DATA}/export", _export),
        Page(
            f"{DATA}/import",
            partial(_import, limits),
            method="POST",
            upload_bytes=limits.import_bytes + _OVERHEAD_BYTES,
        ),
        Page(_FORGET, _ask_to_forget),
        Page(_FORGET, _forget, method="POST"),
    ]


async def _overview(visit: Visit) -> Response:
    return await _show(visit)


async def _show(visit: Visit, *, status: int = 200, **values: Any) -> Response:
    scope, service = visit.owner, visit.memory
    told = {"problem": "", "imported": None, **values}
    return await visit.render(
        "memories/data.html",
        status=status,
        stats=await service.stats(scope),
        switches=await service.switches.of(scope.user_id),
        modes=list(MergeMode),
        **told,
        **choices(),
    )


async def _export(visit: Visit) -> Response:
    project = visit.owner.project_id if visit.asked("project") == "this" else None
    params = ExportParams(project_id=project, vectors=visit.asked("vectors") == "1")
    return await exported(_transfer(visit), visit.owner.user_id, params)


async def _import(limits: MemoryLimits, visit: Visit) -> Response:
    transfer, upload = _transfer(visit), visit.upload
    if upload is None or not upload.filename:
        return await _show(visit, status=400, problem="choose a file that an export gave")
    mode = one_of(MergeMode, visit.form.get("merge", MergeMode.SKIP), "merge")
    params = ImportParams(merge=mode, map_user=visit.form.get("map_user") == "1")
    try:
        done = await imported(
            transfer, visit.owner.user_id, _pieces(upload), params, max_line_bytes=limits.import_line_bytes
        )
    except RequestError as error:
        return await _show(visit, status=400, problem=str(error))
    return await _show(visit, imported=done)


async def _pieces(upload: UploadFile) -> AsyncIterator[bytes]:
    while piece := await upload.read(_READ_BYTES):
        yield piece


@dataclass(frozen=True, slots=True)
class _Doomed:
    """What somebody wants forgotten.

    Attributes:
        conversation: One conversation; None for memories of some types.
        types: Kinds of memory.
    """

    conversation: str | None
    types: frozenset[MemoryType]


async def _ask_to_forget(visit: Visit) -> Response:
    asked = dict(visit.request.query_params)
    doomed = await _doomed(visit, asked)
    page = await visit.memory.list(
        visit.owner, types=doomed.types, conversation_id=doomed.conversation, include_superseded=True, limit=5
    )
    return await visit.render(
        "memories/forget.html",
        doomed=doomed,
        memories=page.records,
        total=page.total,
        fields={name: asked[name] for name in _NAMES if asked.get(name)},
        problem="",
        receipt=None,
    )


_NAMES: Final = ("session", "conversation", "type", "what")


async def _forget(visit: Visit) -> Response:
    doomed = await _doomed(visit, dict(visit.form))
    if visit.form.get("sure") != "yes":
        raise InvalidRequest("tick the box to say that you are sure; nothing was deleted", param="sure")
    scope, service = visit.owner, visit.memory
    if doomed.conversation is not None:
        receipt = await service.erase_conversation(scope, doomed.conversation)
    else:
        receipt = await service.erase(scope, doomed.types)
    return await visit.render(
        "memories/forget.html",
        doomed=doomed,
        memories=[],
        total=0,
        fields={},
        problem="",
        receipt=ReceiptView.of(receipt),
    )


async def _doomed(visit: Visit, said: dict[str, str]) -> _Doomed:
    """Return what is to be forgotten.

    Raises:
        InvalidRequest: Nothing is named, or something that cannot be.
    """
    conversation = await conversation_of(
        visit.memory, visit.owner, session=said.get("session", ""), conversation=said.get("conversation", "")
    )
    if conversation is not None:
        return _Doomed(conversation, ALL_TYPES)
    if kind := said.get("type"):
        return _Doomed(None, frozenset({one_of(MemoryType, kind, "type")}))
    if said.get("what") == "everything":
        return _Doomed(None, ALL_TYPES)
    raise InvalidRequest("name a session, or choose what is to be forgotten", param="session")


def _transfer(visit: Visit) -> OwnTransfer:
    if visit.desk.runtime.transfer is None:
        raise memory_off()
    return visit.desk.runtime.transfer

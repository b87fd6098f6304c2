"""Changing memories: forms that ask, and what they do when they are sent."""

from typing import Final

from starlette.responses import Response

from memrouter.api.memory_access import checked_id
from memrouter.api.memory_views import MemoryView
from memrouter.errors import InvalidRequest, RequestError
from memrouter.inspector.memories.looking import MEMORY, QUARANTINE, choices
from memrouter.inspector.memories.memory_forms import change_of, minute, new_memory_of, replacement_of, text_of
from memrouter.inspector.sign_in import local_path
from memrouter.inspector.visit import HOME, Page, Visit
from memrouter.memory.corrections import CHANGED_MEANWHILE

_EDIT: Final = f"{MEMORY}/edit"
_REPLACE: Final = f"{MEMORY}/replace"
_DELETE: Final = f"{MEMORY}/delete"
_ADD: Final = f"{HOME}/add"
_OVERTAKEN: Final = "This memory was changed meanwhile. Below is what you wrote; saving puts it over the change."


def correcting_pages() -> list[Page]:
    """Return the pages."""
    return [
        Page(_ADD, _show_add),
        Page(_ADD, _add, method="POST"),
        Page(_EDIT, _show_edit),
        Page(_EDIT, _edit, method="POST"),
        Page(_REPLACE, _show_replace),
        Page(_REPLACE, _replace, method="POST"),
        Page(_DELETE, _show_delete),
        Page(_DELETE, _delete, method="POST"),
        Page(f"{MEMORY}/pin", _pin, method="POST"),
        Page(f"{MEMORY}/undo", _undo, method="POST"),
        Page(f"{MEMORY}/release", _release, method="POST"),
    ]


async def _show_add(visit: Visit) -> Response:
    return await _add_form(visit)


async def _add(visit: Visit) -> Response:
    try:
        draft = new_memory_of(visit.form).draft()
        outcome = (await visit.memory.offer(visit.owner, [draft]))[0]
    except RequestError as error:
        return await _add_form(visit, problem=str(error))
    if outcome.record is None:  # ``offer`` raises where nothing at all was kept.
        raise InvalidRequest("this was not kept")
    notice = {"known": "known", "quarantined": "held"}.get(outcome.fate, "added")
    return visit.to(MEMORY, id=outcome.record.id, notice=notice)


async def _add_form(visit: Visit, *, problem: str = "") -> Response:
    return await visit.render(
        "memories/add.html",
        status=400 if problem else 200,
        problem=problem,
        content=text_of(visit.form),
        chosen=visit.form.get("type", "semantic"),
        **choices(),
    )


async def _show_edit(visit: Visit) -> Response:
    memory = await _asked_for(visit)
    kept = {
        "content": memory.content,
        "type": memory.type,
        "importance": f"{memory.importance:.2f}",
        "expires_at": minute(memory.expires_at),
    }
    return await visit.render("memories/edit.html", memory=memory, fields=kept, problem="", **choices())


async def _edit(visit: Visit) -> Response:
    memory, problem = await _named(visit), ""
    if visit.form.get("updated_at") != str(memory.updated_at):
        problem = _OVERTAKEN
    else:
        try:
            change = change_of(visit.form, memory)
            if change is None:
                return visit.to(MEMORY, id=memory.id, notice="unchanged")
            edit = visit.memory.corrections.edit
            await edit(visit.owner, memory.id, change.edit(), seen_at=memory.updated_at)
            return visit.to(MEMORY, id=memory.id, notice="saved")
        except RequestError as error:
            overtaken = error.code == CHANGED_MEANWHILE
            memory, problem = (await _named(visit), _OVERTAKEN) if overtaken else (memory, str(error))
    written = {**visit.form, "content": text_of(visit.form)}
    fields = {name: written.get(name, "") for name in ("content", "type", "importance", "expires_at")}
    return await visit.render(
        "memories/edit.html", status=400, memory=memory, fields=fields, problem=problem, **choices()
    )


async def _show_replace(visit: Visit) -> Response:
    memory = await _asked_for(visit)
    return await visit.render("memories/replace.html", memory=memory, content=memory.content, problem="")


async def _replace(visit: Visit) -> Response:
    memory = await _named(visit)
    try:
        draft = replacement_of(visit.form).draft_for(await visit.memory.get(visit.owner, memory.id))
        new = await visit.memory.corrections.supersede(visit.owner, memory.id, draft)
    except RequestError as error:
        return await visit.render(
            "memories/replace.html", status=400, memory=memory, content=text_of(visit.form), problem=str(error)
        )
    return visit.to(MEMORY, id=new.id, notice="unchanged" if new.id == memory.id else "superseded")


async def _show_delete(visit: Visit) -> Response:
    memory = await _asked_for(visit)
    return await visit.render("memories/delete.html", memory=memory, after=local_path(visit.asked("after", HOME)))


async def _delete(visit: Visit) -> Response:
    await visit.memory.forget(visit.owner, checked_id(visit.form.get("id", "")))
    return visit.to(QUARANTINE if visit.form.get("after") == QUARANTINE else HOME, notice="deleted")


async def _pin(visit: Visit) -> Response:
    memory_id, wanted = checked_id(visit.form.get("id", "")), visit.form.get("pinned") == "1"
    corrections = visit.memory.corrections
    memory = await (corrections.pin if wanted else corrections.unpin)(visit.owner, memory_id)
    return visit.to(MEMORY, id=memory.id, notice="pinned" if memory.pinned else "unpinned")


async def _undo(visit: Visit) -> Response:
    memory = await visit.memory.corrections.undo(visit.owner, checked_id(visit.form.get("id", "")))
    return visit.to(MEMORY, id=memory.id, notice="undone")


async def _release(visit: Visit) -> Response:
    memory = await visit.memory.corrections.release(visit.owner, checked_id(visit.form.get("id", "")))
    return visit.to(MEMORY, id=memory.id, notice="released")


async def _asked_for(visit: Visit) -> MemoryView:
    return MemoryView.of(await visit.memory.get(visit.owner, checked_id(visit.asked("id"))))


async def _named(visit: Visit) -> MemoryView:
    return MemoryView.of(await visit.memory.get(visit.owner, checked_id(visit.form.get("id", ""))))

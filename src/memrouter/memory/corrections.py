"""Putting memories right: replacing one and undoing that, editing, pinning, releasing, and what happened to it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from memrouter.clock import Clock
from memrouter.config.memory import MemorySettings
from memrouter.errors import InvalidRequest
from memrouter.memory.lookup import check_id, find
from memrouter.memory.screening.screen import Rejected, Screened
from memrouter.memory.storing.admission import Dropped, clean, screening_entries
from memrouter.memory.storing.audit import audit
from memrouter.memory.storing.capacity import Room
from memrouter.memory.storing.drafts import MemoryDraft, MemoryEdit, check_edit
from memrouter.memory.storing.duplicates import Pool
from memrouter.memory.storing.edits import Plan
from memrouter.memory.storing.kept import read_kept
from memrouter.memory.storing.replacement import (
    UNDONE,
    linked,
    made_to_replace,
    restored,
    stands_in,
    superseded,
    took_the_place,
    unlinked,
    was_undone,
)
from memrouter.memory.storing.trust import above
from memrouter.memory.storing.write_gate import WriteGate
from memrouter.models.history import Actor, Event, HistoryEntry, appended
from memrouter.models.memory import MemoryRecord, Scope, Source, Vector, content_digest
from memrouter.stores.base import MemoryStore

MAX_CHAIN: Final = 1000
"""Most memories of a chain of replacements that are looked at."""
CHANGED_MEANWHILE: Final = "changed_meanwhile"
"""Code of the error for an edit of what no longer stands."""

_ACTORS: Final = {
    Source.API: Actor.OWNER,
    Source.EXTRACTION: Actor.EXTRACTION,
    Source.CONSOLIDATION: Actor.CONSOLIDATION,
    Source.IMPORT: Actor.IMPORT,
}


class Corrections:
    """Changes single memories; each change is made in one step, or not at all.

    Every method may raise ``StoreUnavailable``, and ``NotFound`` where a memory is absent, expired or someone else's.

    Args:
        store: Keeps the memories.
        gate: What new texts pass.
        settings: De-duplication.
        clock: Tells the time.
    """

    def __init__(self, *, store: MemoryStore, gate: WriteGate, settings: MemorySettings, clock: Clock) -> None:
        self._store = store
        self._gate = gate
        self._settings = settings
        self._clock = clock

    async def supersede(
        self,
        scope: Scope,
        memory_id: str,
        new: str | MemoryDraft,
        *,
        actor: Actor = Actor.OWNER,
        begun_at: int | None = None,
    ) -> MemoryRecord:
        """Put a new fact in the place of a memory and return the memory that now holds it.

        The new one is found from the moment on at which the old one is not. The old one is kept for
        ``retention.undo_days``. A fact that is remembered already is not stored again: the memory that holds it takes
        the old one's place, and where it is the old one itself, nothing changes. Doing it again changes nothing.

        Args:
            scope: Whose.
            memory_id: The memory that is wrong.
            new: What is right. A plain text takes type, importance and expiry of the old one.
            actor: Who corrects. Extraction replaces no memory that is believed more than its own words.
            begun_at: When the work that led to it began; see ``Write``.

        Raises:
            InvalidRequest: The text must not be kept, or would be quarantined; or the memory was replaced by another
                text before.
            EmbeddingError: The embedder failed.
        """
        now = self._clock.now_ms()
        first = await find(self._store, scope, memory_id, now=now)
        project = Scope(scope.user_id, first.project_id)
        heir = await self._admitted(project, _drafted(first, new), actor)
        if actor is Actor.EXTRACTION and above(first.trust, heir.trust):
            raise InvalidRequest("a memory is not replaced by one that is believed less", param="id")
        plan = partial(self._supersede, project, memory_id, heir, actor, begun_at)
        record, event = await self._gate.edits.apply(scope.user_id, plan)
        if event:
            audit(event, scope.user_id, {memory_id, record.id}, actor=actor, rule="superseded")
        return record

    async def undo(self, scope: Scope, memory_id: str, *, actor: Actor = Actor.OWNER) -> MemoryRecord:
        """Take back a replacement and return the memory that is found again.

        The memory that had taken its place is in turn replaced by it, and kept as long, so that nothing is lost; where
        that had been there before, it stays.

        Args:
            scope: Whose.
            memory_id: Either of the two.
            actor: Who corrects.

        Raises:
            InvalidRequest: The memory replaced none, or more than one, or is itself replaced, or what it replaced is
                gone.
        """
        plan = partial(self._undo, scope, memory_id, actor)
        old = await self._gate.edits.apply(scope.user_id, plan)
        audit("restored", scope.user_id, {old.id, memory_id}, actor=actor, rule="undone")
        return old

    async def chain(self, scope: Scope, memory_id: str) -> Sequence[MemoryRecord]:
        """Return a memory with those that it replaced and those that replaced it, in the order of their creation."""
        now = self._clock.now_ms()
        found = {memory_id: await find(self._store, scope, memory_id, now=now)}
        todo = list(found.values())
        while todo and len(found) < MAX_CHAIN:
            names = {name for record in todo for name in (*record.links, record.superseded_by or "")}
            ids = sorted(names - found.keys() - {""})[:MAX_CHAIN]
            todo = [
                one
                for one in (await self._store.get(scope, ids, now=now) if ids else [])
                if _replaced_one_another(one, found)
            ]
            found |= {record.id: record for record in todo}
        return sorted(found.values(), key=lambda record: (record.created_at, record.id))

    async def history(self, scope: Scope, memory_id: str) -> Sequence[HistoryEntry]:
        """Return what happened to a memory, oldest first, beginning with how it came to be written."""
        record = await find(self._store, scope, memory_id, now=self._clock.now_ms())
        actor = _ACTORS.get(record.source, Actor.ROUTER)
        created = HistoryEntry(record.created_at, Event.CREATED, actor, str(record.source), record.conversation_id)
        return (created, *record.history)

    async def pin(self, scope: Scope, memory_id: str, *, actor: Actor = Actor.OWNER) -> MemoryRecord:
        """Have a memory never pruned, evicted or merged; return it. One that is pinned already stays as it is."""
        return await self.edit(scope, memory_id, MemoryEdit(pinned=True), actor=actor)

    async def unpin(self, scope: Scope, memory_id: str, *, actor: Actor = Actor.OWNER) -> MemoryRecord:
        """Take back a ``pin`` and return the memory."""
        return await self.edit(scope, memory_id, MemoryEdit(pinned=False), actor=actor)

    async def edit(
        self,
        scope: Scope,
        memory_id: str,
        edit: MemoryEdit,
        *,
        actor: Actor = Actor.OWNER,
        seen_at: int | None = None,
    ) -> MemoryRecord:
        """Change one memory and return it as it now is; a changed content is screened and gets a new vector.

        Where only ``pinned`` is named and it is so already, nothing changes.

        Args:
            scope: Whose.
            memory_id: Which.
            edit: What to change.
            actor: Who corrects.
            seen_at: The ``updated_at`` of the memory that the editor saw, where it must still stand.

        Raises:
            InvalidRequest: Nothing to change, a field out of range, or a content that must not be kept; ``param``
                names it. Or the memory was changed since it was seen; the code is ``CHANGED_MEANWHILE``.
            EmbeddingError: The embedder failed.
        """
        check_id(memory_id)
        now = self._clock.now_ms()
        check_edit(edit, now=now)
        text = None if edit.content is None else await self._new_text(scope, memory_id, edit.content)

        def changed(record: MemoryRecord) -> MemoryRecord:
            if seen_at not in (None, record.updated_at):
                raise InvalidRequest("this memory was changed meanwhile", code=CHANGED_MEANWHILE, param="id")
            if _named(edit):
                model = self._gate.admission.embedding_model
                record = _edited(record, edit, text, model=model, actor=actor, now=now)
            return record if edit.pinned in (None, record.pinned) else _pinned(record, actor=actor, now=now)

        event = Event.EDITED if _named(edit) else Event.PINNED if edit.pinned else Event.UNPINNED
        return await self._change(scope, memory_id, changed, event=event, actor=actor)

    async def release(self, scope: Scope, memory_id: str, *, actor: Actor = Actor.OWNER) -> MemoryRecord:
        """Let a quarantined memory be found from now on, and return it; any other stays as it is.

        Raises:
            InvalidRequest: The user has as many memories as may be, and all are pinned.
        """
        now = self._clock.now_ms()

        async def plan() -> Plan[tuple[MemoryRecord, bool]]:
            record = await find(self._store, scope, memory_id, now=now)
            if record.quarantine is None:
                return Plan((record, False))
            room = await self._room(scope.user_id, 1, spared=(memory_id,))
            entry = HistoryEntry(now, Event.RELEASED, actor, record.quarantine)
            free = replace(record, quarantine=None, updated_at=now, history=appended(record.history, entry))
            return Plan((free, True), [free], room.evicted)

        record, changed = await self._gate.edits.apply(scope.user_id, plan)
        if changed:
            audit("released", scope.user_id, {memory_id}, actor=actor)
        return record

    async def _supersede(
        self, scope: Scope, memory_id: str, heir: MemoryRecord, actor: Actor, begun_at: int | None
    ) -> Plan[tuple[MemoryRecord, str]]:
        now = self._clock.now_ms()
        if begun_at is not None and await self._gate.marks.covered(scope.user_id, [heir], begun_at=begun_at, now=now):
            raise InvalidRequest("what this text comes from was deleted", code="deleted_meanwhile", param="content")
        old = await find(self._store, scope, memory_id, now=now)
        digest = content_digest(heir.content)
        if content_digest(old.content) == digest and old.superseded_by is None:
            return Plan((old, ""))
        if old.superseded_by is not None:
            by = await self._store.get(scope, [old.superseded_by], now=now)
            if by and content_digest(by[0].content) == digest:
                return Plan((by[0], ""))
            raise InvalidRequest("this memory was replaced before; correct the one that took its place", param="id")
        kept = await read_kept(self._store, scope, [heir], unique=True, again=True, replayed=(), now=now)
        if kept.there:
            return Plan((kept.there[0], ""))
        others = [record for record in kept.visible if record.id != old.id]
        twin = Pool(others, room=0, settings=self._settings.deduplication).twin(heir)
        if twin is not None:
            new = stands_in(twin.record, old, actor=actor, now=now)
            return Plan((new, "refreshed"), [new, superseded(old, new.id, actor=actor, now=now)])
        new = made_to_replace(heir, old, actor=actor, now=now)
        evicted = (await self._room(scope.user_id, 1, spared=(old.id,))).evicted if old.quarantine else frozenset()
        return Plan((new, "stored"), [new, superseded(old, new.id, actor=actor, now=now)], evicted)

    async def _undo(self, scope: Scope, memory_id: str, actor: Actor) -> Plan[MemoryRecord]:
        now = self._clock.now_ms()
        named = await find(self._store, scope, memory_id, now=now)
        if named.superseded_by is None:
            new, old = named, await self._replaced_by(scope, named)
        else:
            new, old = await find(self._store, scope, named.superseded_by, now=now), named
        if new.superseded_by is not None:
            raise InvalidRequest("what replaced this memory was replaced too; undo that first", param="id")
        if any(entry.event is Event.CONSOLIDATED and entry.ref == new.id for entry in old.history):
            raise InvalidRequest("this memory was merged with others; undo the consolidation instead", param="id")
        back = restored(old, actor=actor, now=now)
        if took_the_place(new, old):
            # Linked both ways, so that the chain stays whole and undoing it again brings the newer one back.
            gone = superseded(unlinked(new, old), old.id, actor=actor, now=now, rule=UNDONE)
            return Plan(back, [linked(back, new), gone])
        room = await self._room(scope.user_id, 1, spared=(new.id, old.id))
        return Plan(back, [back, unlinked(new, old)], room.evicted)

    async def _replaced_by(self, scope: Scope, new: MemoryRecord) -> MemoryRecord:
        """Return the one memory that ``new`` replaced; where it replaced none, the last one that was undone for it."""
        links = await self._store.get(scope, new.links, now=self._clock.now_ms()) if new.links else []
        old = [record for record in links if record.superseded_by == new.id]
        plain = [record for record in old if not was_undone(record)]
        if len(plain) > 1:
            raise InvalidRequest("this memory replaced several; name the one that is to come back", param="id")
        if not old:
            raise InvalidRequest("this memory replaced none that is still kept; there is nothing to undo", param="id")
        return plain[0] if plain else max(old, key=lambda record: (record.updated_at, record.id))

    async def _admitted(self, scope: Scope, draft: MemoryDraft, actor: Actor) -> MemoryRecord:
        write = await self._gate.admit(scope, [draft], actor=actor)
        (place,) = write.places
        if isinstance(place, Dropped):
            raise not_storable(place.reason)
        if place.quarantine is not None:
            raise _suspicious(place.quarantine)
        return place

    async def _new_text(self, scope: Scope, memory_id: str, content: str) -> tuple[Screened, Vector]:
        record = await find(self._store, scope, memory_id, now=self._clock.now_ms())
        text, admission = clean(MemoryDraft(content)), self._gate.admission
        answer = admission.screen.screen(text, trust=record.trust, role=record.role, explicit=True) if text else None
        if answer is None or isinstance(answer, Rejected):
            raise not_storable("injected_block" if answer is None else answer.reason)
        (vector,) = await admission.embed([answer.content])
        return answer, vector

    async def _change(
        self,
        scope: Scope,
        memory_id: str,
        changed: Callable[[MemoryRecord], MemoryRecord],
        *,
        event: Event,
        actor: Actor,
    ) -> MemoryRecord:
        async def plan() -> Plan[tuple[MemoryRecord, bool]]:
            record = await find(self._store, scope, memory_id, now=self._clock.now_ms())
            new = changed(record)
            return Plan((new, False)) if new is record else Plan((new, True), [new])

        record, made = await self._gate.edits.apply(scope.user_id, plan)
        if made:
            audit(event, scope.user_id, {memory_id}, actor=actor)
        return record

    async def _room(self, user_id: str, adding: int, *, spared: Sequence[str]) -> Room:
        room = await self._gate.capacity.room(user_id, adding, now=self._clock.now_ms(), spared=spared)
        if room.short:
            raise over_limit()
        return room


def over_limit() -> InvalidRequest:
    """Return the error for a memory for which there is no room."""
    return InvalidRequest(
        "there is no room for another memory: as many as max_memories_per_user allows are kept, and all are pinned",
        code="over_limit",
    )


def not_storable(reason: str | None) -> InvalidRequest:
    """Return the error for a text that must not be kept."""
    return InvalidRequest(f"this text is not kept: {reason}", code="not_storable", param="content")


def _drafted(old: MemoryRecord, new: str | MemoryDraft) -> MemoryDraft:
    if isinstance(new, MemoryDraft):
        return new
    return MemoryDraft(
        content=new, type=old.type, source=Source.API, importance=old.importance, expires_at=old.expires_at
    )


def _edited(
    record: MemoryRecord, edit: MemoryEdit, text: tuple[Screened, Vector] | None, *, model: str, actor: Actor, now: int
) -> MemoryRecord:
    fields = _named(edit)
    entry = HistoryEntry(now, Event.EDITED, actor, " ".join(fields))
    record = replace(
        record,
        type=edit.type or record.type,
        importance=record.importance if edit.importance is None else edit.importance,
        expires_at=record.expires_at if edit.expires_at is UNSET else edit.expires_at,
        updated_at=now,
        history=appended(record.history, entry),
    )
    if text is None:
        return record
    screened, vector = text
    return replace(
        record,
        content=screened.content,
        embedding=vector,
        embedding_model=model,
        quarantine=screened.quarantine,
        history=appended(record.history, *screening_entries(screened, actor=actor, now=now)),
    )


def _pinned(record: MemoryRecord, *, actor: Actor, now: int) -> MemoryRecord:
    """Return a memory pinned that was not, or the other way round."""
    entry = HistoryEntry(now, Event.UNPINNED if record.pinned else Event.PINNED, actor)
    return replace(record, pinned=not record.pinned, history=appended(record.history, entry))


def _named(edit: MemoryEdit) -> Sequence[str]:
    given = {
        "content": edit.content is not None,
        "type": edit.type is not None,
        "importance": edit.importance is not None,
        "expires_at": edit.expires_at is not UNSET,
    }
    return [name for name, is_given in given.items() if is_given]


def _replaced_one_another(one: MemoryRecord, others: dict[str, MemoryRecord]) -> bool:
    """Return whether a memory replaced one of some others, or one of them replaced it."""
    return one.superseded_by in others or any(other.superseded_by == one.id for other in others.values())


def _suspicious(rule: str) -> InvalidRequest:
    return InvalidRequest(
        f"this text looks like an instruction to the model ({rule}) and would be quarantined; nothing was changed",
        code="quarantined",
        param="content",
    )

"""A user's memories in the store of this machine's configuration, as an operator sees and corrects them."""

from memrouter.api.memory_conversations import DeleteParams, ListParams, named_conversation
from memrouter.api.memory_forms import MemoryChange, NewMemory, Replacement, Search
from memrouter.api.memory_history import HistoryView
from memrouter.api.memory_search import MemorySearch
from memrouter.api.memory_views import (
    AddedMemories,
    Deleted,
    DeletedMany,
    MemoryPage,
    MemoryView,
)
from memrouter.cli.remote_desk import Answer
from memrouter.errors import InvalidRequest
from memrouter.memory.service import MemoryService
from memrouter.models.history import Actor
from memrouter.models.memory import MemoryRecord, Scope

DEFAULT_PAGE = 20


class LocalDesk:
    """The memories of one owner in the configured store; satisfies ``MemoryDesk``.

    Args:
        service: Does the work, for an operator.
        finder: Searches.
        scope: Whose memories.
    """

    def __init__(self, service: MemoryService, finder: MemorySearch, scope: Scope) -> None:
        self._service = service
        self._finder = finder
        self._scope = scope

    async def search(self, form: Search) -> Answer:
        """Return what a search finds."""
        return (await self._finder.run(self._service, self._scope, form)).model_dump(mode="json")

    async def page(self, params: ListParams) -> Answer:
        """Return a page of memories, newest first."""
        limit = params.limit or DEFAULT_PAGE
        page = await self._service.list(
            self._scope,
            types=params.types,
            limit=limit,
            cursor=params.cursor,
            conversation_id=await named_conversation(self._service, self._scope, params),
            include_superseded=params.include_superseded,
            quarantined=params.quarantined,
        )
        return MemoryPage.of(page, limit=limit).model_dump(mode="json")

    async def show(self, memory_id: str) -> Answer:
        """Return one memory."""
        return _view(await self._service.get(self._scope, memory_id))

    async def add(self, new: NewMemory) -> Answer:
        """Remember something; return what became of it."""
        outcomes = await self._service.offer(self._scope, [new.draft()], actor=Actor.OPERATOR)
        return AddedMemories.of(outcomes).model_dump(mode="json")

    async def change(self, memory_id: str, change: MemoryChange) -> Answer:
        """Change one memory and return it."""
        corrections = self._service.corrections
        return _view(await corrections.edit(self._scope, memory_id, change.edit(), actor=Actor.OPERATOR))

    async def supersede(self, memory_id: str, new: Replacement) -> Answer:
        """Put a new fact in the place of a memory and return the memory that holds it."""
        old = await self._service.get(self._scope, memory_id)
        corrections = self._service.corrections
        return _view(await corrections.supersede(self._scope, memory_id, new.draft_for(old), actor=Actor.OPERATOR))

    async def undo(self, memory_id: str) -> Answer:
        """Take back a replacement and return the memory that is found again."""
        return _view(await self._service.corrections.undo(self._scope, memory_id, actor=Actor.OPERATOR))

    async def release(self, memory_id: str) -> Answer:
        """Let a quarantined memory be found and return it."""
        return _view(await self._service.corrections.release(self._scope, memory_id, actor=Actor.OPERATOR))

    async def history(self, memory_id: str) -> Answer:
        """Return what happened to a memory."""
        corrections = self._service.corrections
        entries = await corrections.history(self._scope, memory_id)
        chain = await corrections.chain(self._scope, memory_id)
        return HistoryView.of(memory_id, entries, chain).model_dump(mode="json")

    async def forget(self, memory_id: str) -> Answer:
        """Remove one memory."""
        await self._service.forget(self._scope, memory_id, actor=Actor.OPERATOR)
        return Deleted(message="Memory deleted successfully").model_dump(mode="json")

    async def forget_conversation(self, params: DeleteParams) -> Answer:
        """Remove everything that came from a conversation."""
        conversation = await named_conversation(self._service, self._scope, params)
        if conversation is None:
            raise InvalidRequest("no conversation is named", param="conversation_id")
        receipt = await self._service.erase_conversation(self._scope, conversation, actor=Actor.OPERATOR)
        return DeletedMany.proved(receipt, shown=True).model_dump(mode="json")


def _view(record: MemoryRecord) -> Answer:
    return MemoryView.of(record).model_dump(mode="json")

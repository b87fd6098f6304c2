"""A LangGraph store whose items are memories; needs the extra ``[langgraph]``."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, assert_never

from anyio.from_thread import start_blocking_portal

from memrouter.config.settings import Settings
from memrouter.embedded.opening import NO_ENVIRONMENT, open_memory
from memrouter.embedded.user_memory import UserMemory
from memrouter.embedded.views import moment
from memrouter.errors import MissingExtra
from memrouter.integrations.langgraph_items import WHOLE, StoredItem, begins, ends, holds, whole_text
from memrouter.integrations.langgraph_keeper import ItemKeeper, Kept, Put

try:
    from langgraph.store.base import (
        GetOp,
        Item,
        ListNamespacesOp,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        TTLConfig,
        get_text_at_path,
        tokenize_path,
    )
    from langgraph.store.base.batch import AsyncBatchedBaseStore
except ModuleNotFoundError:
    raise MissingExtra("memrouter.integrations.langgraph", "langgraph") from None

PROJECT: Final = "langgraph"
"""The project that holds items unless another one is named."""


class MemrouterStore(AsyncBatchedBaseStore):
    """A ``BaseStore`` for ``compile(store=...)``: items in namespaces, filters, TTL, and search by meaning.

    Items are memories: secrets in their texts are masked, texts that look like instructions to a model are got by key
    but not found by a search, exports hold them and deletions reach them. They are pinned, so that upkeep leaves them
    alone, and count towards ``max_memories_per_user``: each item and each text that is found by meaning as one.

    To be made inside a running event loop. Its blocking methods work from other threads; see ``blocking_store``.

    Args:
        memory: Whose items. Its project holds them; ``open_store`` gives them one of their own.
        user_label: Place of the label in namespaces that names the user, from 0, so that
            ``("memories", "alice")`` with 1 is kept among Alice's memories. Namespaces that are too short for it, and
            all of them where it is None, belong to the user of ``memory``. No search reaches over several users.
        fields: Paths of the texts that are found by meaning where ``put`` names none; ``$`` is the whole value.
        ttl: LangGraph's settings for items that live for a time; expired ones are never shown.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: UserMemory,
        *,
        user_label: int | None = None,
        fields: Sequence[str] = (WHOLE,),
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__()
        self.ttl_config = ttl
        self._memory = memory
        self._user_label = user_label
        self._fields = tuple(fields)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several operations, from a thread other than the event loop's."""
        return asyncio.run_coroutine_threadsafe(self.abatch(ops), self._loop).result()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several operations: first all that read, then all that write, those of one user together or not at all."""
        todo = list(ops)
        results: list[Result] = [None] * len(todo)
        writes: defaultdict[str, dict[tuple[tuple[str, ...], str], PutOp]] = defaultdict(dict)
        for place, op in enumerate(todo):
            match op:
                case GetOp():
                    results[place] = await self._got(op)
                case SearchOp():
                    results[place] = await self._searched(op)
                case ListNamespacesOp():
                    results[place] = await self._namespaces(op)
                case PutOp():
                    namespace = tuple(op.namespace)
                    # The last one for a key stands, in the order in which the keys were last named.
                    writes[self._user(namespace)].pop((namespace, op.key), None)
                    writes[self._user(namespace)][namespace, op.key] = op
                case _:
                    assert_never(op)
        for user, puts in writes.items():
            keeper = self._keeper(user)
            await keeper.put([await self._prepared(keeper, op) for op in puts.values()])
        return results

    async def aclose(self) -> None:
        """Stop taking operations; what it keeps its items in stays open."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _got(self, op: GetOp) -> Item | None:
        keeper = self._keeper(self._user(tuple(op.namespace)))
        kept = await keeper.get(tuple(op.namespace), op.key)
        if kept is None:
            return None
        if op.refresh_ttl:
            await keeper.refresh([kept])
        return Item(**_fields(kept))

    async def _searched(self, op: SearchOp) -> list[SearchItem]:
        prefix, keeper = tuple(op.namespace_prefix), self._keeper(self._user(tuple(op.namespace_prefix)))

        def accepts(item: StoredItem) -> bool:
            return item.namespace[: len(prefix)] == prefix and all(
                holds(item.value.get(name), wanted) for name, wanted in (op.filter or {}).items()
            )

        end = op.offset + op.limit
        if op.query:
            found = await keeper.found(op.query, accepts, most=end)
        else:
            found = [(kept, None) for kept in await keeper.all() if accepts(kept.item)]
        chosen = found[op.offset : end]
        if op.refresh_ttl:
            await keeper.refresh([kept for kept, _ in chosen])
        return [SearchItem(**_fields(kept), score=score) for kept, score in chosen]

    async def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        prefix = next((tuple(each.path) for each in conditions if each.match_type == "prefix"), ())
        found = {kept.item.namespace for kept in await self._keeper(self._user(prefix)).all()}
        for each in conditions:
            fits = begins if each.match_type == "prefix" else ends
            found = {namespace for namespace in found if fits(namespace, each.path)}
        cut = found if op.max_depth is None else {namespace[: op.max_depth] for namespace in found}
        return sorted(cut)[op.offset : op.offset + op.limit]

    async def _prepared(self, keeper: ItemKeeper, op: PutOp) -> Put:
        namespace, value = tuple(op.namespace), op.value
        if value is None:
            return keeper.removal(namespace, op.key)
        paths = _paths(op.index, self._fields)
        return await keeper.prepared(namespace, op.key, value, lambda clean: _texts(clean, paths), op.ttl)

    def _user(self, namespace: tuple[str, ...]) -> str:
        """Return whose a namespace is."""
        place = self._user_label
        if place is None or not 0 <= place < len(namespace) or namespace[place] == "*":
            return self._memory.scope.user_id
        return namespace[place]

    def _keeper(self, user: str) -> ItemKeeper:
        scope = self._memory.scope
        same = user == scope.user_id
        return ItemKeeper(self._memory if same else self._memory.of(user, project=scope.project_id or PROJECT))


@asynccontextmanager
async def open_store(
    target: str | Path | Settings = "memrouter.db",
    *,
    user: str,
    project: str = PROJECT,
    env: Mapping[str, str] = NO_ENVIRONMENT,
    user_label: int | None = None,
    fields: Sequence[str] = (WHOLE,),
    ttl: TTLConfig | None = None,
) -> AsyncIterator[MemrouterStore]:
    """Open a store for as long as the context lasts; for the arguments see ``memrouter.open`` and the class."""
    async with open_memory(target, user=user, project=project, env=env) as memory:
        store = MemrouterStore(memory, user_label=user_label, fields=fields, ttl=ttl)
        try:
            yield store
        finally:
            await store.aclose()


@contextmanager
def blocking_store(
    target: str | Path | Settings = "memrouter.db",
    *,
    user: str,
    project: str = PROJECT,
    env: Mapping[str, str] = NO_ENVIRONMENT,
    user_label: int | None = None,
    fields: Sequence[str] = (WHOLE,),
    ttl: TTLConfig | None = None,
) -> Iterator[MemrouterStore]:
    """Open a store for a program without an event loop; it works in a thread of its own. See ``open_store``."""
    opened = open_store(target, user=user, project=project, env=env, user_label=user_label, fields=fields, ttl=ttl)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as store:
        yield store


def _paths(index: Literal[False] | list[str] | None, general: Sequence[str]) -> Sequence[str]:
    if index is False:
        return ()
    return general if index is None else index


def _texts(value: Any, paths: Sequence[str]) -> list[str]:
    return [
        text
        for path in paths
        for text in ([whole_text(value)] if path == WHOLE else get_text_at_path(value, tokenize_path(path)))
    ]


def _fields(kept: Kept) -> dict[str, Any]:
    return {
        "value": kept.item.value,
        "key": kept.item.key,
        "namespace": kept.item.namespace,
        "created_at": moment(kept.record.created_at),
        "updated_at": moment(kept.record.updated_at),
    }

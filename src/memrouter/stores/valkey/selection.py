"""Which memories, in the form that scripts take it (see ``scripts``)."""

from collections.abc import Iterable
from typing import Literal

from memrouter.models.memory import Scope
from memrouter.stores.query import ALL_TYPES, Filter, ListQuery
from memrouter.stores.valkey.scripts import Arg

Visibility = Literal["visible", "unexpired", "quarantined", "quarantined_unexpired", "any"]
"""Which of the hidden memories count.

Quarantined ones do not in ``visible`` and ``unexpired`` and alone do in the two that name them; superseded ones do in
``unexpired`` and ``quarantined_unexpired``; expired ones in none but ``any``, which is everything.
"""


def selection(base: str, scope: Scope, where: Filter, *, now: int, show: Visibility) -> list[Arg]:
    """Return the nine arguments of a selection; ``where.ids`` is not among them.

    Args:
        base: ``OwnerKeys.base`` of the scope's user.
        scope: Whose memories.
        where: Which of them.
        now: Milliseconds since the epoch.
        show: Which of the hidden ones count.
    """
    asked = where.conversation_id is not None
    return [
        base,
        scope.user_id,
        scope.project_id or "",
        now,
        show,
        "" if where.types == ALL_TYPES else _listed(where.types),
        "" if where.sources is None else _listed(where.sources),
        "1" if asked else "",
        where.conversation_id or "",
    ]


def listed(query: ListQuery) -> Visibility:
    """Return which memories a list shows."""
    if query.quarantined:
        return "quarantined_unexpired" if query.include_superseded else "quarantined"
    return "unexpired" if query.include_superseded else "visible"


def storable(ids: Iterable[str]) -> list[str]:
    """Return those of ``ids`` that a memory can have, once each, in their order."""
    return [memory_id for memory_id in dict.fromkeys(ids) if memory_id and not _has_surrogate(memory_id)]


def _listed(words: Iterable[str]) -> str:
    return f",{','.join(sorted(words))},"


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)

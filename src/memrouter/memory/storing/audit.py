"""The audit log: one line for everything that is written, changed or deleted. Never a text, nor who in clear."""

import hashlib
import logging
from collections.abc import Collection
from typing import Final

from memrouter.models.history import Actor
from memrouter.models.memory import owner_key

logger: Final = logging.getLogger("memrouter.audit")

MAX_IDS: Final = 100
"""Most ids of one line; ``count`` tells how many memories there are."""


def audit(
    event: str,
    user_id: str,
    ids: Collection[str],
    *,
    actor: Actor,
    rule: str | None = None,
    conversation_id: str | None = None,
    count: int | None = None,
) -> None:
    """Write one line to the logger ``memrouter.audit``.

    Args:
        event: What happened, such as ``stored`` or ``deleted``.
        user_id: Whose memories; their owner key is written.
        ids: Which memories.
        actor: Who or what did it.
        rule: By which rule or why.
        conversation_id: Where it came from; a digest is written.
        count: How many memories, where not all are named.
    """
    fields = {
        "event": event,
        "owner": owner_key(user_id),
        "ids": " ".join(sorted(ids)[:MAX_IDS]),
        "count": len(ids) if count is None else count,
        "actor": str(actor),
        "rule": rule,
        "conversation": None if conversation_id is None else _digest(conversation_id),
    }
    logger.info("memory %s", event, extra=fields)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]

"""Pages of the items that were sent with a response. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from memrouter.errors import InvalidRequest

MAX_PAGE: Final = 100
"""Most items of one page."""
DEFAULT_PAGE: Final = 20


def page_of(items: Sequence[Mapping[str, Any]], asked: Mapping[str, str]) -> dict[str, Any]:
    """Return one page in OpenAI's form, newest first unless ``order`` is ``asc``.

    Args:
        items: All items, oldest first, each with an ``id``.
        asked: Query parameters: ``limit`` (1 to 100), ``order`` and ``after``, the id of the last item seen.

    Raises:
        InvalidRequest: A parameter out of range; ``param`` names it.
    """
    order, after = asked.get("order", "desc"), asked.get("after")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order: asc or desc", code="invalid_value", param="order")
    ordered = list(items) if order == "asc" else list(reversed(items))
    if after is not None:
        ids = [item["id"] for item in ordered]
        if after not in ids:
            raise InvalidRequest("after: no item has this id", code="item_not_found", param="after")
        ordered = ordered[ids.index(after) + 1 :]
    limit = _limit(asked.get("limit", str(DEFAULT_PAGE)))
    shown = ordered[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(ordered) > limit,
    }


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) and 1 <= int(text) <= MAX_PAGE):
        raise InvalidRequest(f"limit: a whole number from 1 to {MAX_PAGE}", code="invalid_value", param="limit")
    return int(text)

"""Models in the form of Anthropic's API, for clients that send its version header."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel

from memrouter.errors import InvalidRequest

VERSION_HEADER: Final = "anthropic-version"
MAX_PAGE: Final = 1_000
DEFAULT_PAGE: Final = 20


class AnthropicModel(BaseModel):
    """A model in Anthropic's form."""

    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: str
    """RFC 3339: when this router started."""

    @classmethod
    def of(cls, name: str, *, created: int) -> "AnthropicModel":
        """Return the card of a model.

        Args:
            name: What clients call it.
            created: Seconds since the epoch.
        """
        moment = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(id=name, display_name=name, created_at=moment)


class AnthropicModels(BaseModel):
    """A page of models in Anthropic's form."""

    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


def models_page(names: Sequence[str], asked: Mapping[str, str], *, created: int) -> AnthropicModels:
    """Return a page of models.

    Args:
        names: All of them.
        asked: Query parameters: ``limit`` (1 to 1,000), and ``after_id`` or ``before_id``, the model next to the page.
        created: Seconds since the epoch.

    Raises:
        InvalidRequest: A parameter out of range; ``param`` names it.
    """
    limit = _limit(asked.get("limit", str(DEFAULT_PAGE)))
    after, before = asked.get("after_id"), asked.get("before_id")
    if before is not None:
        left = names[: _place(names, before, "before_id")]
        shown, more = left[-limit:], len(left) > limit
    else:
        left = names if after is None else names[_place(names, after, "after_id") + 1 :]
        shown, more = left[:limit], len(left) > limit
    return AnthropicModels(
        data=[AnthropicModel.of(name, created=created) for name in shown],
        has_more=more,
        first_id=shown[0] if shown else None,
        last_id=shown[-1] if shown else None,
    )


def _place(names: Sequence[str], name: str, param: str) -> int:
    if name not in names:
        raise InvalidRequest(f"{param}: no such model", code="item_not_found", param=param)
    return names.index(name)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) and 1 <= int(text) <= MAX_PAGE):
        raise InvalidRequest(f"limit: a whole number from 1 to {MAX_PAGE}", code="invalid_value", param="limit")
    return int(text)
